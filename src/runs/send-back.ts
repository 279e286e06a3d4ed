import { countText } from "../domain/words.ts";
import { endOfText } from "../lib/end-of-text.ts";
import { moveTaskIn } from "../store/tasks.ts";
import type { Change } from "../store/store.ts";
import type { BoardTask } from "./board.ts";
import type { RunContext } from "./run-context.ts";

export interface SendBack {
  readonly reason: string;
  readonly feedback: string;
  /** Recorded in the same transaction, before the task moves. */
  readonly alsoRecord?: (change: Change) => Promise<void>;
}

/** Enough to show a conflict or a doctor's complaint. */
const FEEDBACK_CHARACTERS_MAX = 12_000;

/**
 * Gives a validated task back to its agent on the new base, with what stood in the way; where its
 * tries are used up it fails instead.
 */
export async function sendBack(
  context: RunContext,
  task: BoardTask,
  { reason, feedback: whole, alsoRecord }: SendBack,
): Promise<void> {
  const { row } = task;
  const key = { runId: context.runId, taskId: row.task_id };
  const subject = { task_id: row.task_id, attempt: row.attempts };
  const feedback = endOfText(whole, FEEDBACK_CHARACTERS_MAX);
  const moved = await context.store.record(async (change) => {
    await alsoRecord?.(change);
    if (row.tries >= context.config.max_attempts) {
      const message = `${countText(row.tries, "try", "tries")}, the last one could not land: ${reason}`;
      await change.event(context.runId, {
        type: "task.failed",
        ...subject,
        payload: { reason, message },
      });
      return moveTaskIn(change, key, "fail", { reason, message, feedback, ended_at: change.now });
    }
    await change.event(context.runId, {
      type: "task.sent_back",
      ...subject,
      payload: { reason, feedback },
    });
    const cleared = { source_commit: null, source_base: null, continue_token: null };
    return moveTaskIn(change, key, "send-back", { ...cleared, reason, feedback });
  });
  context.board.put(moved);
}
