import { moveTaskIn, type TaskKey, type TaskRow } from "../store/tasks.ts";
import type { Change } from "../store/store.ts";
import { findLandedBefore, type LandedBefore } from "./landed-before.ts";
import type { RunContext } from "./run-context.ts";

/** Records that a task is not worked on, because a run before this one has landed it. */
export async function skipLandedIn(
  change: Change,
  key: TaskKey,
  landed: LandedBefore,
): Promise<TaskRow> {
  const reason = "landed-before";
  const message = `run ${landed.runId} landed it as ${landed.commit.slice(0, 12)}`;
  const payload = { reason, message };
  await change.event(key.runId, { type: "task.skipped", task_id: key.taskId, payload });
  const values = { reason, message, landed_commit: landed.commit, ended_at: change.now };
  return moveTaskIn(change, key, "skip", values);
}

/**
 * Skips what other runs have landed since this one stopped; to be called once its own landings are
 * settled. Work of its own that waited for landing is given up: it is on the branch already.
 */
export async function skipLandedMeanwhile(context: RunContext): Promise<void> {
  const { board, config, repository, runId, store } = context;
  const open = board
    .all()
    .map(({ row }) => row)
    .filter(({ state }) => state === "pending" || state === "validated");
  const tip = await repository.branchTip(config.main_branch);
  if (open.length === 0 || tip === null) return;
  const fingerprints = open.map(({ fingerprint }) => fingerprint);
  const found = await findLandedBefore({ store, repository, tip: tip.commit, fingerprints });
  for (const { task_id, fingerprint } of open) {
    const landed = found.get(fingerprint);
    if (landed === undefined || landed.runId === runId) continue;
    const key = { runId, taskId: task_id };
    board.put(await store.record((change) => skipLandedIn(change, key, landed)));
  }
}
