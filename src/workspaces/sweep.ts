import { Refusal, type Result } from "../domain/failure.ts";
import { timestamp, type Clock } from "../lib/clock.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { tryLockFile } from "../lib/file-lock.ts";
import {
  isAbandoned,
  isOwned,
  self,
  type KeptEntry,
  type KeptLedger,
  type SessionCheck,
} from "./kept-ledger.ts";
import { deleteKeptSnapshot, destroyKept } from "./kept-workspaces.ts";
import type { LastingProvider } from "./lasting-workspace.ts";
import { unavailableText } from "./kinds-that-answer.ts";
import { rescueWork } from "./rescue.ts";
import { failureWith } from "./workspace-failure.ts";
import { isWorkspaceName } from "./workspace-name.ts";

export interface SweepRequest {
  readonly ledger: KeptLedger;
  readonly providers: readonly LastingProvider[];
  readonly clock: Clock;
  /** How long what nobody owns is left alone, from when a sweep first saw it so. */
  readonly afterMs: number;
  /** Where work that was not landed is put. */
  readonly rescuedDir: string;
  readonly env: Readonly<Record<string, string>>;
  /** Only tells what it would remove. */
  readonly dryRun: boolean;
  /** Where nobody can say, all are: nothing of theirs is removed. */
  readonly isSessionLive?: SessionCheck;
}

export interface Swept {
  readonly id: string;
  readonly what: KeptEntry["what"];
  readonly kind: KeptEntry["kind"];
  readonly why: "half-made" | "half-removed" | "unowned";
  /** The folder with what it held; `null` where it held nothing that was not landed. */
  readonly rescued: string | null;
}

export interface SweepReport {
  readonly removed: readonly Swept[];
  /** What could not be removed, or a kind that could not be asked; the next sweep tries again. */
  readonly failed: readonly { readonly id: string; readonly message: string }[];
  /** What nobody owns and whose time is not over. */
  readonly waiting: readonly { readonly id: string; readonly since: string }[];
  /** What no workspace or snapshot needs any more of a kind's caches, in words. */
  readonly pruned: readonly string[];
}

/**
 * Removes what killed makers left at once, and what nobody owns when its time is over, once what it
 * holds is recorded. Owned ones are not touched. Throws where another sweep goes on.
 */
export async function sweepKept(request: SweepRequest): Promise<SweepReport> {
  using lock = tryLockFile(request.ledger.lockPath("sweep"));
  if (lock === null) throw new Refusal("workspace-failed", "another sweep goes on");
  const removed: Swept[] = [];
  const failed: { id: string; message: string }[] = [];
  const waiting: { id: string; since: string }[] = [];
  const away = new Set<string>();
  for (const provider of request.providers) {
    const adopted = await adoptUnknown(request, provider);
    if (adopted.ok) continue;
    away.add(provider.kind);
    failed.push({ id: provider.kind, message: unavailableText(adopted.failure) });
  }
  for (const entry of request.ledger.list()) {
    if (away.has(entry.kind)) continue;
    const why = reasonToRemove(request, entry);
    if (why === "waiting") waiting.push({ id: entry.id, since: entry.unownedSince ?? "" });
    if (why === null || why === "waiting") continue;
    const swept = await removeOne(request, entry, why);
    if (!swept.ok) failed.push({ id: entry.id, message: swept.failure.message });
    else if (swept.value !== "whole") removed.push({ ...shown(entry), why, ...swept.value });
  }
  const pruned: string[] = [];
  for (const provider of request.providers) {
    const { clock, dryRun } = request;
    pruned.push(...((await provider.tidy?.({ nowMs: clock.now(), dryRun })) ?? []));
  }
  return { removed, failed, waiting, pruned };
}

function shown({ id, what, kind }: KeptEntry): Pick<Swept, "id" | "what" | "kind"> {
  return { id, what, kind };
}

/**
 * Workspaces that the book does not know: made by hand, or of a book that was lost. A kind that
 * cannot be asked now holds up no other.
 */
async function adoptUnknown(
  { ledger, dryRun }: SweepRequest,
  provider: LastingProvider,
): Promise<Result<void>> {
  const done = { ok: true, value: undefined } as const;
  if (dryRun) return done;
  const { kind } = provider;
  try {
    const unknown = (await provider.list()).filter(
      (id) => isWorkspaceName(id) && ledger.find(id) === null,
    );
    for (const id of unknown) {
      const claimed = ledger.claim({ id, what: "workspace", kind, owner: null, base: null });
      if (claimed.ok) ledger.write({ ...claimed.value, state: "ready" });
    }
    return done;
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, failure: error.failure };
    throw error;
  }
}

function reasonToRemove(
  { ledger, clock, afterMs, dryRun, isSessionLive = () => true }: SweepRequest,
  entry: KeptEntry,
): Swept["why"] | "waiting" | null {
  if (isAbandoned(entry)) return entry.state === "making" ? "half-made" : "half-removed";
  if (entry.state !== "ready" || entry.what === "snapshot") return null;
  const isKnown = entry.unownedSince !== null;
  if (isOwned(entry, isSessionLive)) {
    if (isKnown && !dryRun) ledger.write({ ...entry, unownedSince: null });
    return null;
  }
  const since = entry.unownedSince ?? timestamp(clock);
  if (!isKnown && !dryRun) ledger.write({ ...entry, unownedSince: since });
  return clock.now() - Date.parse(since) >= afterMs ? "unowned" : "waiting";
}

type Outcome = Result<Pick<Swept, "rescued"> | "whole">;

/** Answers where its work was put, or that it is whole and stays. */
async function removeOne(
  request: SweepRequest,
  entry: KeptEntry,
  why: Swept["why"],
): Promise<Outcome> {
  const provider = request.providers.find(({ kind }) => kind === entry.kind);
  if (provider === undefined) {
    return failureWith("workspace-unavailable", `there are no ${entry.kind} workspaces here`);
  }
  if (request.dryRun) return NOTHING;
  if (entry.what === "snapshot") return removeSnapshot(request, provider, entry);
  try {
    const rescued = why === "unowned" ? await rescue(request, provider, entry) : NOTHING;
    if (!rescued.ok) return rescued;
    crashPoint("sweep.rescued");
    await destroyKept({ provider, ledger: request.ledger, owner: self() }, entry.id);
    return rescued;
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, failure: error.failure };
    throw error;
  }
}

const NOTHING = { ok: true, value: { rescued: null } } as const;
const WHOLE = { ok: true, value: "whole" } as const;

async function rescue(
  { env, rescuedDir, clock }: SweepRequest,
  provider: LastingProvider,
  { id, base }: KeptEntry,
): Promise<Outcome> {
  const workspace = await provider.find({ id, env });
  if (workspace === null) return NOTHING;
  const at = timestamp(clock);
  const reason = "nobody owned it";
  const work = await rescueWork({ workspace, base, root: rescuedDir, reason, at });
  return work.ok ? { ok: true, value: { rescued: work.value } } : work;
}

/** One that was done when its maker was killed is done; one that is in use is not deleted. */
async function removeSnapshot(
  { ledger }: SweepRequest,
  provider: LastingProvider,
  entry: KeptEntry,
): Promise<Outcome> {
  const isWhole = async (): Promise<boolean> =>
    (await provider.listSnapshots()).some(({ id }) => id === entry.id);
  const keep = (): Outcome => {
    ledger.write({ ...entry, state: "ready" });
    return WHOLE;
  };
  if (entry.state === "making" && (await isWhole())) return keep();
  const deleted = await deleteKeptSnapshot({ provider, ledger }, entry.id);
  if (deleted.ok || deleted.failure.code === "workspace-missing") {
    ledger.forget(entry.id);
    return NOTHING;
  }
  return deleted.failure.details["reason"] === "in-use" && (await isWhole()) ? keep() : deleted;
}
