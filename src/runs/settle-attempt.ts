import { Refusal } from "../domain/failure.ts";
import type { Usage } from "../domain/usage.ts";
import type { AttemptOrder, AttemptOutcome } from "../hive/attempt.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { rewriteManifest } from "../planning/task-folders.ts";
import { closeAttempt, type AttemptEnd } from "../store/attempts.ts";
import type { Change } from "../store/store.ts";
import { moveTaskIn, type TaskRow } from "../store/tasks.ts";
import { fingerprintOf } from "./fingerprint.ts";
import type { RunContext } from "./run-context.ts";

export interface EndedAttempt {
  readonly order: AttemptOrder;
  readonly outcome: AttemptOutcome;
  readonly durationMs: number;
  /** `null` where the agent told nothing of it. */
  readonly usage: Usage | null;
}

/** Feedback is shown to an agent whole; more than this would only push its task out of sight. */
const FEEDBACK_CHARACTERS_MAX = 12_000;

/** Records what came of an attempt, and with it what becomes of the task. */
export async function settleAttempt(context: RunContext, ended: EndedAttempt): Promise<void> {
  const { order, outcome } = ended;
  await writeRescope(context, ended);
  const row = await context.store.record(async (change) => {
    if (!(await closeAttempt(change, attemptEnd(order, outcome)))) return null;
    await recordEnding(change, context, ended);
    return recordTask(change, context, ended);
  });
  if (row === null) return;
  context.board.put(row);
  crashPoint("task.validated");
  await tidy(context, ended, row);
  if (outcome.kind === "stopped") {
    const { reason, message, hint } = outcome;
    context.stop.request({ reason, message, hint });
  }
}

/** The folder first: repeated after a crash, the same violation leads to the same manifest. */
async function writeRescope(context: RunContext, { order, outcome }: EndedAttempt): Promise<void> {
  const { folder } = context.board.get(order.taskId).row;
  if (outcome.kind !== "rejected" || outcome.rescoped === undefined || folder === null) return;
  try {
    await rewriteManifest(folder, outcome.rescoped);
  } catch (error) {
    // Whoever removed or replaced the folder meanwhile has their reasons; the run has its own copy.
    if (!(error instanceof Refusal)) throw error;
  }
  crashPoint("manifest.rescoped");
}

function attemptEnd(order: AttemptOrder, outcome: AttemptOutcome): AttemptEnd {
  const common = { token: order.token, sourceCommit: null };
  switch (outcome.kind) {
    case "validated":
      return {
        ...common,
        status: "validated",
        reason: "validated",
        sourceCommit: outcome.commit,
        verdicts: outcome.verdicts,
      };
    case "rejected":
    case "stopped":
      return { ...common, status: "rejected", reason: outcome.reason, verdicts: outcome.verdicts };
    case "interrupted":
      return { ...common, status: "interrupted", reason: "interrupted", verdicts: [] };
  }
}

async function recordEnding(
  change: Change,
  context: RunContext,
  { order, outcome, durationMs, usage }: EndedAttempt,
): Promise<void> {
  const reason = "reason" in outcome ? outcome.reason : outcome.kind;
  await change.event(context.runId, {
    type: "attempt.ended",
    ...subjectOf(order),
    payload: { outcome: outcome.kind, reason, duration_ms: durationMs, usage },
  });
}

async function recordTask(
  change: Change,
  context: RunContext,
  ended: EndedAttempt,
): Promise<TaskRow> {
  const { order, outcome } = ended;
  switch (outcome.kind) {
    case "validated":
      return recordValidated(change, context, order, outcome);
    case "rejected":
      return recordRejected(change, context, order, outcome);
    case "stopped":
      return recordFailed(change, order, outcome.reason, outcome.message);
    case "interrupted": {
      const { row } = context.board.get(order.taskId);
      const values = { tries: row.tries - 1 };
      await change.event(order.runId, {
        type: "task.retried",
        ...subjectOf(order),
        payload: { reason: "interrupted", feedback: "" },
      });
      return moveTaskIn(change, order, "retry", values);
    }
  }
}

async function recordValidated(
  change: Change,
  context: RunContext,
  order: AttemptOrder,
  outcome: Extract<AttemptOutcome, { kind: "validated" }>,
): Promise<TaskRow> {
  const values = { source_commit: outcome.commit, source_base: order.base, feedback: null };
  const row = await moveTaskIn(change, order, "validate", values);
  const { commit, files } = outcome;
  if (commit !== null) {
    const payload = { commit, files };
    await change.event(order.runId, { type: "task.validated", ...subjectOf(order), payload });
    return row;
  }
  const completed = { type: "task.completed", payload: { commit: null } } as const;
  await change.event(context.runId, { ...completed, ...subjectOf(order) });
  return moveTaskIn(change, order, "land", { ended_at: change.now });
}

async function recordRejected(
  change: Change,
  context: RunContext,
  order: AttemptOrder,
  outcome: Extract<AttemptOutcome, { kind: "rejected" }>,
): Promise<TaskRow> {
  const { row } = context.board.get(order.taskId);
  const feedback = outcome.feedback.slice(-FEEDBACK_CHARACTERS_MAX);
  const manifest = outcome.rescoped;
  if (manifest !== undefined) await recordRescope(change, order, manifest);
  const rewritten = manifest === undefined ? {} : rewrittenTask(manifest, order.spec);
  if (row.tries >= context.config.max_attempts) {
    const message = `${row.tries} tries, the last one: ${firstLine(feedback)}`;
    return recordFailed(change, order, outcome.reason, message, rewritten);
  }
  const payload = { reason: outcome.reason, feedback };
  await change.event(order.runId, { type: "task.retried", ...subjectOf(order), payload });
  return moveTaskIn(change, order, "retry", {
    ...rewritten,
    feedback,
    reason: outcome.reason,
    continue_token: outcome.keepWorkspace ? order.token : null,
  });
}

interface RewrittenTask {
  readonly manifest: string;
  readonly fingerprint: string;
}

function rewrittenTask(manifest: AttemptOrder["manifest"], spec: string): RewrittenTask {
  return { manifest: JSON.stringify(manifest), fingerprint: fingerprintOf({ manifest, spec }) };
}

async function recordRescope(
  change: Change,
  order: AttemptOrder,
  manifest: AttemptOrder["manifest"],
): Promise<void> {
  const added = (after: readonly string[], before: readonly string[]): string[] =>
    after.filter((item) => !before.includes(item));
  const payload = {
    added_files: added(manifest.files.writes, order.manifest.files.writes),
    added_locks: added(manifest.locks.writes, order.manifest.locks.writes),
  };
  await change.event(order.runId, { type: "manifest.rescoped", ...subjectOf(order), payload });
}

async function recordFailed(
  change: Change,
  order: AttemptOrder,
  reason: string,
  message: string,
  values: Partial<RewrittenTask> = {},
): Promise<TaskRow> {
  const payload = { reason, message };
  await change.event(order.runId, { type: "task.failed", ...subjectOf(order), payload });
  const { now } = change;
  return moveTaskIn(change, order, "fail", { ...values, reason, message, ended_at: now });
}

/** A workspace whose commits were brought in is of no more use; others stay to be looked at. */
async function tidy(
  context: RunContext,
  { order, outcome }: EndedAttempt,
  row: TaskRow,
): Promise<void> {
  const done =
    outcome.kind === "validated" && (row.state === "validated" || row.state === "complete");
  if (!done || context.config.cleanup.workspaces === "never") return;
  // Whatever cannot be removed now is `clean`'s: the work itself is safe.
  await context.provider.remove(order.workspaceId).catch(() => undefined);
}

function subjectOf(order: AttemptOrder): {
  task_id: string;
  attempt: number;
  workspace_id: string;
} {
  return { task_id: order.taskId, attempt: order.number, workspace_id: order.workspaceId };
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
