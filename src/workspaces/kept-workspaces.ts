import type { Result } from "../domain/failure.ts";
import { crashPoint } from "../lib/crash-point.ts";
import type { KeptEntry, KeptLedger, KeptOwner } from "./kept-ledger.ts";
import { self } from "./kept-ledger.ts";
import type {
  ForkRequest,
  LastingProvider,
  LastingRequest,
  LastingWorkspace,
  Snapshot,
} from "./lasting-workspace.ts";
import { failureWith, isUnsettled } from "./workspace-failure.ts";
import { snapshotId } from "./workspace-name.ts";

/** What every change of what is kept needs: the kind's provider, and the book about all kinds. */
export interface KeptMeans {
  readonly provider: LastingProvider;
  readonly ledger: KeptLedger;
  readonly owner: KeptOwner;
}

/** Creates a workspace under a name that nobody has, of whatever kind. */
export async function createKept(
  { provider, ledger, owner }: KeptMeans,
  request: LastingRequest,
): Promise<Result<LastingWorkspace>> {
  const { id } = request;
  const { kind } = provider;
  const base = request.seed?.commit ?? null;
  const claimed = ledger.claim({ id, what: "workspace", kind, owner, base });
  if (!claimed.ok) return claimed;
  crashPoint("kept.claimed");
  return settle(ledger, claimed.value, await provider.create(request));
}

/** Forks a snapshot, one answer a request, in order. */
export async function forkKept(
  { provider, ledger, owner }: KeptMeans,
  snapshot: string,
  requests: readonly ForkRequest[],
): Promise<readonly Result<LastingWorkspace>[]> {
  const { kind } = provider;
  const base = ledger.find(snapshot)?.base ?? null;
  const claims = requests.map(({ id }) =>
    ledger.claim({ id, what: "workspace", kind, owner, base }),
  );
  crashPoint("kept.claimed");
  const wanted = requests.filter((_, at) => claims[at]?.ok === true);
  const forks = [...(await provider.fork(snapshot, wanted))];
  return claims.map((claim) => {
    if (!claim.ok) return claim;
    const fork = forks.shift();
    if (fork === undefined) throw new Error("a provider answers each request for a fork");
    return settle(ledger, claim.value, fork);
  });
}

/** Takes a snapshot, and remembers where the work in it began. */
export async function snapshotKept(
  { provider, ledger, owner = "person" }: Omit<KeptMeans, "owner"> & Partial<KeptMeans>,
  workspace: LastingWorkspace,
  name: string,
): Promise<Result<Snapshot>> {
  const id = snapshotId(workspace.id, name);
  const base = ledger.find(workspace.id)?.base ?? null;
  const { kind } = provider;
  const claimed = ledger.claim({ id, what: "snapshot", kind, owner, base });
  if (!claimed.ok) return claimed;
  crashPoint("kept.claimed");
  return settle(ledger, claimed.value, await workspace.snapshot(name));
}

/** As if its maker had been killed: the next sweep finds out what there is of it. */
const NOBODY = { pid: process.pid, identity: null } as const;

/** Removes a workspace without a look at what is in it. Where that fails, the sweep tries again. */
export async function destroyKept({ provider, ledger }: KeptMeans, id: string): Promise<void> {
  markRemoving(ledger, id);
  crashPoint("kept.removing");
  try {
    await provider.remove(id);
  } catch (error) {
    const entry = ledger.find(id);
    if (entry !== null) ledger.write({ ...entry, maker: NOBODY });
    throw error;
  }
  ledger.forget(id);
}

export async function deleteKeptSnapshot(
  { provider, ledger }: Pick<KeptMeans, "provider" | "ledger">,
  id: string,
): Promise<Result<void>> {
  const entry = ledger.find(id);
  markRemoving(ledger, id);
  crashPoint("kept.removing");
  const deleted = await provider.deleteSnapshot(id);
  if (deleted.ok) ledger.forget(id);
  else if (entry !== null) ledger.write(entry);
  return deleted;
}

/** The kind's provider and the workspace as it is; refused where there is none. */
export async function findKept(
  ledger: KeptLedger,
  providers: ReadonlyMap<string, LastingProvider>,
  wanted: { readonly id: string; readonly env: Readonly<Record<string, string>> },
): Promise<Result<{ readonly provider: LastingProvider; readonly workspace: LastingWorkspace }>> {
  const entry = ledger.find(wanted.id);
  const provider = entry?.what === "workspace" ? providers.get(entry.kind) : undefined;
  const workspace = (await provider?.find(wanted)) ?? null;
  if (provider !== undefined && workspace !== null) {
    return { ok: true, value: { provider, workspace } };
  }
  return missingWorkspace(wanted.id, entry);
}

export function missingWorkspace(id: string, entry: KeptEntry | null): Result<never> {
  const name = JSON.stringify(id);
  const message =
    entry === null ? `there is no workspace ${name}` : `the workspace ${name} is not whole`;
  return failureWith("workspace-missing", message, {
    hint:
      entry === null
        ? "`mycelium workspace list` shows what there is"
        : `\`mycelium workspace destroy ${id}\` removes what is left of it`,
    details: { id },
  });
}

function settle<T>(ledger: KeptLedger, entry: KeptEntry, made: Result<T>): Result<T> {
  crashPoint("kept.made");
  if (made.ok) ledger.write({ ...entry, state: "ready" });
  else if (isUnsettled(made.failure)) ledger.write({ ...entry, maker: NOBODY });
  else ledger.forget(entry.id);
  return made;
}

function markRemoving(ledger: KeptLedger, id: string): void {
  const entry = ledger.find(id);
  if (entry !== null) ledger.write({ ...entry, state: "removing", maker: self() });
}
