import { Refusal, type Result } from "../domain/failure.ts";
import { askPosition, dirtyMessage } from "../merging/ask-workspace.ts";
import { findKept } from "../workspaces/kept-workspaces.ts";
import type { LastingProvider, LastingWorkspace } from "../workspaces/lasting-workspace.ts";
import { isWorkspaceName, snapshotId } from "../workspaces/workspace-name.ts";
import { SWARM_LIMITS } from "./limits.ts";
import type { SwarmMeans } from "./means.ts";
import type { SwarmPlan, SwarmRequest } from "./swarm-request.ts";

const GOLDEN = "golden";

/**
 * Finds everything that could go wrong before the first fork is made, and what forks are made of.
 * Throws what stands in the way.
 */
export async function preflight(means: SwarmMeans, request: SwarmRequest): Promise<SwarmPlan> {
  const { merge_strategy: strategy, merge_target: target } = request;
  if ((strategy === undefined) !== (target === undefined)) {
    const [there, missing] =
      strategy === undefined
        ? ["merge_target", "merge_strategy"]
        : ["merge_strategy", "merge_target"];
    throw refused(`${there} needs ${missing}`, "give both, or neither: nothing is merged then");
  }
  if (target !== undefined) means.refuseForeign(target);
  const { snapshot, provider } = await findGolden(means, request);
  if (target !== undefined) await checkTarget(means, target, request.merge_path);
  const context = await gatherContext(means, request);
  return { request, snapshot, kind: provider.kind, context };
}

async function findGolden(
  { ledger, providers, refuseForeignSnapshot }: SwarmMeans,
  request: SwarmRequest,
): Promise<{ readonly snapshot: string; readonly provider: LastingProvider }> {
  const { golden_workspace: workspace, snapshot_name: name, snapshot: other } = request;
  if (name !== undefined && other !== undefined && name !== other) {
    throw refused("snapshot_name and snapshot differ", "give one of them");
  }
  const wanted = name ?? other ?? GOLDEN;
  const id = wanted.includes("@") ? wanted : snapshotId(workspace, wanted);
  const entry = id.split("@").every(isWorkspaceName) ? ledger.find(id) : null;
  if (entry !== null) refuseForeignSnapshot(id);
  const provider = entry === null ? undefined : providers.get(entry.kind);
  const all = (await provider?.listSnapshots()) ?? [];
  if (provider !== undefined && all.some((one) => one.id === id)) return { snapshot: id, provider };
  throw new Refusal("workspace-missing", `there is no snapshot ${JSON.stringify(id)}`, {
    hint: "`mycelium workspace snapshot list` shows what there is; workspace_prepare makes one",
    details: { snapshot: id },
  });
}

/** Nothing is forked for a merge that cannot land. */
async function checkTarget(
  means: SwarmMeans,
  target: string,
  path: string | undefined,
): Promise<void> {
  const workspace = unwrap(await findTarget(means, target));
  const position = unwrap(await askPosition({ workspace, path }));
  if (position.dirty.length === 0) return;
  throw new Refusal("merge-refused", dirtyMessage(target, position.dirty), {
    hint: "commit or discard them in the target first",
    details: { dirty: position.dirty },
  });
}

/** Fails where it is another's by now, or not there. */
export async function findTarget(
  { ledger, providers, env, refuseForeign }: SwarmMeans,
  target: string,
): Promise<Result<LastingWorkspace>> {
  try {
    refuseForeign(target);
  } catch (error) {
    // A swarm that is about to merge has workers to settle, whoever has taken its target over.
    if (error instanceof Refusal) return { ok: false, failure: error.failure };
    throw error;
  }
  const found = await findKept(ledger, providers, { id: target, env });
  return found.ok ? { ok: true, value: found.value.workspace } : found;
}

async function gatherContext(
  { vault }: SwarmMeans,
  { shared_context: shared, vault_context: queries }: SwarmRequest,
): Promise<string | null> {
  const parts = shared === undefined ? [] : [`# Shared context\n\n${shared.trimEnd()}\n`];
  for (const { kind, query } of queries) {
    const paths = kind === "read" ? [query] : await findNotes(vault, query);
    for (const path of paths) {
      const note = unwrap(await vault.read(path));
      parts.push(`# Vault: ${path}\n\n${note.text.trimEnd()}\n`);
    }
  }
  if (parts.length === 0) return null;
  const context = parts.join("\n");
  if (Buffer.byteLength(context) <= SWARM_LIMITS.contextBytes) return context;
  const most = `${SWARM_LIMITS.contextBytes} bytes are the most`;
  throw refused(`shared and vault context together are too large: ${most}`, "name fewer notes");
}

async function findNotes(vault: SwarmMeans["vault"], query: string): Promise<readonly string[]> {
  const resultsMax = SWARM_LIMITS.vaultHits;
  const request = { query, how: "fulltext", folder: "", tag: null, resultsMax } as const;
  const { hits } = unwrap(await vault.search(request));
  if (hits.length > 0) return hits.map(({ path }) => path);
  throw refused(
    `the vault has nothing on ${JSON.stringify(query)}`,
    "search with other words, or leave the query out",
  );
}

function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  const { code, message, details, hint } = result.failure;
  throw new Refusal(code, message, { details, ...(hint !== null && { hint }) });
}

function refused(message: string, hint: string): Refusal {
  return new Refusal("swarm-refused", message, { hint });
}
