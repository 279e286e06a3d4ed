import { z } from "zod";
import { MERGE_STRATEGIES } from "../merging/merge-report.ts";
import type { SwarmTaskRow } from "../store/swarms.ts";
import type { SwarmMeans } from "./means.ts";
import type { SwarmMerge } from "./merge-swarm.ts";
import { lockSwarm } from "./conduct-swarm.ts";
import { outcomeOf, readSwarm, type SwarmRecord } from "./swarm-record.ts";

const conflictSchema = z.strictObject({
  path: z.string(),
  kind: z.string(),
  /** Other sources that changed it; none where the target did. */
  against: z.array(z.string()),
});

const sourceSchema = z.strictObject({
  name: z.string(),
  head: z.string(),
  status: z.enum(["merged", "nothing", "conflict", "failed"]),
  commits: z.int(),
  conflicts: z.array(conflictSchema),
  message: z.string().nullable(),
  /** Files that were not committed, so not merged. */
  uncommitted: z.array(z.string()),
  branch: z.string().nullable(),
});

export const shownMergeSchema = z.strictObject({
  success: z.boolean(),
  /** `landed`: the target holds it; `conflicts`, `refused`: the target stands where it stood. */
  outcome: z.enum(["landed", "nothing", "conflicts", "refused", "dry-run", "failed"]),
  strategy: z.enum(MERGE_STRATEGIES),
  target_workspace: z.string(),
  before: z.string().nullable(),
  after: z.string().nullable(),
  total_commits_applied: z.int(),
  merged_sources: z.array(z.string()),
  /** Of all sources. */
  conflicts: z.array(conflictSchema.extend({ source: z.string() })),
  sources: z.array(sourceSchema),
  message: z.string().nullable(),
});

export type ShownMerge = z.output<typeof shownMergeSchema>;

const shownTaskSchema = z.strictObject({
  name: z.string(),
  state: z.enum(["pending", "running", "succeeded", "failed", "cancelled"]),
  success: z.boolean(),
  attempt: z.int(),
  workspace_id: z.string().nullable(),
  /** `kept` and `made` ones are there. */
  worker: z.enum(["none", "made", "kept", "destroyed"]),
  exit_code: z.int().nullable(),
  timed_out: z.boolean(),
  stdout: z.string(),
  stderr: z.string(),
  /** Bytes of both that were left out. */
  truncated_bytes: z.int(),
  elapsed_ms: z.int(),
  merged: z.boolean(),
  /** The folder on the host with work that was not merged. */
  rescued: z.string().nullable(),
  error: z.string().nullable(),
});

export const shownSwarmSchema = z.strictObject({
  swarm_id: z.string(),
  /** `interrupted`: nobody is at it; resuming goes on. */
  state: z.enum(["running", "interrupted", "complete", "failed", "cancelled"]),
  success: z.boolean(),
  message: z.string().nullable(),
  snapshot: z.string(),
  started_at: z.string(),
  ended_at: z.string().nullable(),
  tasks: z.array(shownTaskSchema),
  /** `null` where none was asked for, or it has not come to it. */
  merge: shownMergeSchema.nullable(),
  summary: z.strictObject({
    total_tasks: z.int(),
    succeeded: z.int(),
    failed: z.int(),
    total_elapsed_ms: z.int(),
    workers_destroyed: z.int(),
    workers_kept: z.int(),
  }),
});

export type ShownSwarm = z.output<typeof shownSwarmSchema>;

export async function reportSwarm(
  means: Pick<SwarmMeans, "store" | "clock" | "locksDir">,
  id: string,
): Promise<ShownSwarm> {
  const record = await readSwarm(means, id);
  const { row, plan } = record;
  const tasks = record.tasks.map(shownTask);
  const count = (is: (task: ShownSwarm["tasks"][number]) => boolean): number =>
    tasks.filter(is).length;
  const endMs = row.ended_at === null ? means.clock.now() : Date.parse(row.ended_at);
  return {
    swarm_id: id,
    state: row.state === "running" ? stateOf(means, id) : row.state,
    success: row.state === "complete",
    message: row.message,
    snapshot: plan.snapshot,
    started_at: row.started_at,
    ended_at: row.ended_at,
    tasks,
    merge: mergeOf(record),
    summary: {
      total_tasks: tasks.length,
      succeeded: count(({ state }) => state === "succeeded"),
      failed: count(({ state }) => state === "failed"),
      total_elapsed_ms: Math.max(0, endMs - Date.parse(row.started_at)),
      workers_destroyed: count(({ worker }) => worker === "destroyed"),
      workers_kept: count(({ worker }) => worker === "kept"),
    },
  };
}

function stateOf(means: Pick<SwarmMeans, "locksDir">, id: string): "running" | "interrupted" {
  using lock = lockSwarm(means, id);
  return lock === null ? "running" : "interrupted";
}

function shownTask(task: SwarmTaskRow): z.output<typeof shownTaskSchema> {
  const outcome = outcomeOf(task);
  const isOdd = outcome !== null && !["exited", "timed-out"].includes(outcome.ending);
  return {
    name: task.name,
    state: task.state,
    success: task.state === "succeeded",
    attempt: task.attempt,
    workspace_id: task.worker,
    worker: task.worker_state,
    exit_code: outcome?.exit_code ?? null,
    timed_out: outcome?.ending === "timed-out",
    stdout: outcome?.stdout ?? "",
    stderr: outcome?.stderr ?? "",
    truncated_bytes: outcome?.dropped_bytes ?? 0,
    elapsed_ms: outcome?.elapsed_ms ?? 0,
    merged: task.work === "merged",
    rescued: task.rescued,
    error: task.error ?? (isOdd ? `the command did not end by itself: ${outcome.ending}` : null),
  };
}

function mergeOf({ row, plan }: SwarmRecord): ShownMerge | null {
  const { merge_strategy: strategy, merge_target: target } = plan.request;
  if (row.merge === null || strategy === undefined || target === undefined) return null;
  const { report, error } = JSON.parse(row.merge) as SwarmMerge;
  if (report !== null) return shownMerge(report);
  return {
    success: false,
    outcome: "failed",
    strategy,
    target_workspace: target,
    before: null,
    after: null,
    total_commits_applied: 0,
    merged_sources: [],
    conflicts: [],
    sources: [],
    message: error,
  };
}

export function shownMerge(report: NonNullable<SwarmMerge["report"]>): ShownMerge {
  const { outcome, strategy, target, before, after, commits, sources, message } = report;
  const isTaken = outcome === "landed";
  return {
    success: isTaken || outcome === "nothing" || outcome === "dry-run",
    outcome,
    strategy,
    target_workspace: target,
    before,
    after,
    total_commits_applied: isTaken ? commits : 0,
    merged_sources: isTaken
      ? sources.filter(({ status }) => status === "merged").map(({ name }) => name)
      : [],
    conflicts: sources.flatMap(({ name, conflicts }) =>
      conflicts.map((one) => ({ ...one, against: [...one.against], source: name })),
    ),
    sources: sources.map((source) => ({
      ...source,
      conflicts: source.conflicts.map((one) => ({ ...one, against: [...one.against] })),
      uncommitted: [...source.uncommitted],
    })),
    message,
  };
}
