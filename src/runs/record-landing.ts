import { settleLanding } from "../store/landings.ts";
import { moveTaskIn, type TaskRow } from "../store/tasks.ts";
import type { BoardTask } from "./board.ts";
import type { RunContext } from "./run-context.ts";

export interface Landed {
  readonly landingId: number;
  readonly base: string;
  readonly tip: string;
  readonly commits: readonly { readonly taskId: string; readonly commit: string }[];
}

/** Records that the branch has moved: every task of the batch is complete, in one transaction. */
export async function recordLanded(context: RunContext, landed: Landed): Promise<void> {
  const rows = await context.store.record(async (change) => {
    await settleLanding(change, landed.landingId, "landed");
    await change.event(context.runId, {
      type: "landing.landed",
      payload: {
        base: landed.base,
        tip: landed.tip,
        tasks: landed.commits.map(({ taskId }) => taskId),
      },
    });
    const moved: TaskRow[] = [];
    for (const { taskId, commit } of landed.commits) {
      const key = { runId: context.runId, taskId };
      await change.event(context.runId, {
        type: "task.completed",
        task_id: taskId,
        payload: { commit },
      });
      const values = { landed_commit: commit, reason: null, message: null, ended_at: change.now };
      moved.push(await moveTaskIn(change, key, "land", values));
    }
    return moved;
  });
  for (const row of rows) context.board.put(row);
}

/** A task whose change stands in the branch already, by somebody else's hand. */
export async function recordComplete(context: RunContext, task: BoardTask): Promise<void> {
  const key = { runId: context.runId, taskId: task.row.task_id };
  const row = await context.store.record(async (change) => {
    await change.event(context.runId, {
      type: "task.completed",
      task_id: key.taskId,
      payload: { commit: null },
    });
    return moveTaskIn(change, key, "land", { ended_at: change.now });
  });
  context.board.put(row);
}
