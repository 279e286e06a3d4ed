import { crashPoint } from "../lib/crash-point.ts";
import { holdsCommit } from "../merging/ask-workspace.ts";
import { removeMergeLeftovers } from "../merging/merge-room.ts";
import type { MergeReport } from "../merging/merge-report.ts";
import { mergeWorkspaces, type MergeSource } from "../merging/merge-workspaces.ts";
import type { SwarmTaskRow } from "../store/swarms.ts";
import { updateSwarm, updateSwarmTasks } from "../store/swarms.ts";
import type { SwarmMeans } from "./means.ts";
import { findTarget } from "./preflight.ts";
import { readSwarm } from "./swarm-record.ts";
import { findWorker } from "./worker.ts";

/** How a merge ended: its report, or why there is none. */
export interface SwarmMerge {
  readonly report: MergeReport | null;
  readonly error: string | null;
}

/**
 * Brings the work of all that succeeded and was not merged before into the target. What is about to
 * land is recorded first, so that nothing lands twice, whenever this process dies.
 */
export async function mergeSwarm(means: SwarmMeans, id: string): Promise<SwarmMerge | null> {
  const { row, plan, tasks } = await readSwarm(means, id);
  const { merge_strategy: strategy, merge_target: target, merge_path: path } = plan.request;
  if (strategy === undefined || target === undefined) return null;
  const open = tasks.filter(({ state, work }) => state === "succeeded" && work !== "merged");
  if (open.length === 0) return row.merge === null ? null : (JSON.parse(row.merge) as SwarmMerge);
  const found = await findTarget(means, target);
  if (!found.ok) return settle(means, id, { open, error: found.failure.message });
  const place = { workspace: found.value, path };
  if (row.merge_intent !== null) {
    const intended = JSON.parse(row.merge_intent) as MergeReport & { readonly after: string };
    await removeMergeLeftovers(means.merging.folder);
    if (await holdsCommit(place, intended.after))
      return settle(means, id, { open, report: intended });
  }
  const sources: MergeSource[] = [];
  for (const { name, worker } of open) {
    const workspace = worker === null ? null : await findWorker(means, worker);
    if (workspace !== null) sources.push({ name, place: { workspace, path } });
  }
  const { commit_message: message, allow_partial: allowPartial } = plan.request;
  const merged = await mergeWorkspaces({
    sources,
    target: place,
    strategy,
    message,
    allowPartial,
    dryRun: false,
    means: means.merging,
    onIntent: (report) => updateSwarm(means.store, id, { merge_intent: JSON.stringify(report) }),
  });
  return settle(
    means,
    id,
    merged.ok ? { open, report: merged.value } : { open, error: merged.failure.message },
  );
}

async function settle(
  { store }: SwarmMeans,
  id: string,
  end: {
    readonly open: readonly SwarmTaskRow[];
    readonly report?: MergeReport;
    readonly error?: string;
  },
): Promise<SwarmMerge> {
  const { open, report = null, error = null } = end;
  const isTaken = report?.outcome === "landed" || report?.outcome === "nothing";
  const merge = { report, error };
  const changes = open.map(({ ordinal, name }) => {
    const status = report?.sources.find((source) => source.name === name)?.status;
    const isMerged = status === "nothing" || (status === "merged" && isTaken);
    return { ordinal, values: { work: isMerged ? ("merged" as const) : ("unmerged" as const) } };
  });
  const values = { merge: JSON.stringify(merge), merge_intent: null };
  await updateSwarmTasks(store, id, changes, values);
  crashPoint("swarm.merged");
  return merge;
}
