import type { EventPayload, EventType, RecordedEvent } from "./event.ts";
import { commitText, countText, durationText, firstLine, listText } from "./words.ts";

/**
 * What an event says, as one line for people. `null` for those that only fill in detail: an agent's
 * talk, its usage, workspaces that come and go.
 */
export function describeEvent(event: RecordedEvent): string | null {
  // The store parses every payload by its type, both when it is written and when it is read.
  const describe = DESCRIPTIONS[event.type] as (payload: unknown) => string | null;
  return describe(event.payload);
}

type Descriptions = {
  readonly [T in EventType]: (payload: EventPayload<T>) => string | null;
};

const silent = (): null => null;

const DESCRIPTIONS: Descriptions = {
  "run.started": ({ branch, base, agent, max_parallel, tasks }) =>
    `run started: ${countText(tasks.length, "task")} on ${branch} at ${commitText(base)}, agent ${agent}, ${max_parallel} at once`,
  "run.resumed": ({ previous_status, tip, landed_before, lost_attempts, reopened }) =>
    [
      `run resumed from ${previous_status} at ${commitText(tip)}`,
      landed_before.length > 0 && `found landed: ${listText(landed_before)}`,
      lost_attempts.length > 0 && `lost: ${listText(lost_attempts)}`,
      reopened.length > 0 && `reopened: ${listText(reopened)}`,
    ]
      .filter((part) => part !== false)
      .join("; "),
  "run.paused": ({ reason, message }) => `run paused (${reason}): ${firstLine(message)}`,
  "run.failed": ({ reason, message }) => `run failed (${reason}): ${firstLine(message)}`,
  "run.completed": ({ landed, tip }) =>
    `run complete: ${countText(landed, "task")} landed, the branch is at ${commitText(tip)}`,

  "task.started": silent,
  "task.retried": ({ reason, feedback }) => `to be tried again (${reason})${colon(feedback)}`,
  "task.validated": ({ commit, files }) =>
    `validated: ${countText(files, "file")} in ${commitText(commit)}`,
  "task.sent_back": ({ reason, feedback }) => `sent back (${reason})${colon(feedback)}`,
  "task.completed": ({ commit }) =>
    commit === null
      ? "complete: nothing had to change"
      : `complete: landed as ${commitText(commit)}`,
  "task.failed": ({ reason, message }) => `failed (${reason})${colon(message)}`,
  "task.review_requested": ({ reason, message }) =>
    `waits for a person (${reason})${colon(message)}`,
  "task.skipped": ({ reason, message }) => `skipped (${reason})${colon(message)}`,
  "task.reopened": ({ previous_state }) => `reopened, was ${previous_state}`,

  "attempt.started": ({ agent, base, reused }) =>
    `${agent} starts on ${commitText(base)}${reused ? ", in the workspace of the try before" : ""}`,
  "attempt.ended": ({ outcome, reason, duration_ms }) =>
    `${outcome}${reason === outcome ? "" : ` (${reason})`} after ${durationText(duration_ms)}`,
  "workspace.created": silent,
  "workspace.destroyed": silent,

  "agent.started": silent,
  "agent.text": silent,
  "agent.tool": silent,
  "agent.quota": ({ resets_at, message }) =>
    `the agent's quota is used up${resets_at === null ? "" : ` until ${resets_at}`}${colon(message)}`,
  "agent.ended": ({ reason, message }) =>
    reason === "completed" ? null : `the agent ended: ${reason}${colon(message)}`,
  "turn.completed": silent,
  "output.truncated": ({ source, dropped_bytes }) =>
    `${countText(dropped_bytes, "byte")} of ${source}'s output were left out`,

  "gate.decided": ({ gate, answer, reason, duration_ms }) =>
    `${gate}: ${answer}${answer === "pass" ? "" : ` (${firstLine(reason)})`} in ${durationText(duration_ms)}`,
  "manifest.violated": ({ enforcement, violations, unlisted }) => {
    const paths = violations.map(({ path }) => path);
    return `wrote outside its manifest (${enforcement}): ${listText(paths, unlisted)}`;
  },
  "manifest.rescoped": ({ added_files, added_locks }) =>
    `manifest widened by ${listText([...added_files, ...added_locks.map((lock) => `lock ${lock}`)])}`,
  "budget.warn": ({ message }) => `budget warning: ${firstLine(message)}`,
  "budget.block": ({ message }) => `budget spent: ${firstLine(message)}`,

  "landing.proposed": ({ tasks, tip }) => `candidate ${commitText(tip)} of ${listText(tasks)}`,
  "landing.conflicted": ({ paths }) => `conflicts with the branch in ${listText(paths)}`,
  "landing.rejected": ({ tasks, answer, next }) =>
    `candidate of ${listText(tasks)} refused (${answer}), next: ${next}`,
  "landing.outrun": ({ found }) =>
    found === null
      ? "the branch is gone"
      : `somebody else moved the branch to ${commitText(found)}; tried again on top of it`,
  "landing.landed": ({ tasks, tip }) =>
    `landed ${listText(tasks)}: the branch is at ${commitText(tip)}`,
  "checkout.updated": ({ path, to }) => `checkout ${path} brought to ${commitText(to)}`,
};

function colon(text: string): string {
  const line = firstLine(text);
  return line === "" ? "" : `: ${line}`;
}
