import { readTaskFolder } from "../planning/task-folders.ts";
import { closeAttempt, listOpenAttempts, type AttemptRow } from "../store/attempts.ts";
import { listOpenLandings } from "../store/landings.ts";
import { moveTaskIn, updateTaskIn, type TaskRow } from "../store/tasks.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { carryOut, takeBackAfterCrash } from "./move-integration.ts";
import { recordLanded } from "./record-landing.ts";
import { gateWorkspaceId, runRefs, taskRef, type RunContext } from "./run-context.ts";

/** Attempts of one task that died with their orchestrator before the task itself is suspected. */
const LOST_ATTEMPTS_MAX = 10;

export interface Recovered {
  readonly landedBefore: readonly string[];
  readonly lostAttempts: readonly string[];
  readonly reopened: readonly string[];
}

/**
 * Brings the record and the world together after a stop of any kind: ends what still runs, finishes
 * or gives up landings that were intended, and puts back to pending whatever has to be done again.
 * From the database and the repository alone; may be repeated at any point.
 */
export async function recover(context: RunContext): Promise<Recovered> {
  await removeGateWorkspaces(context);
  const landedBefore = await settleLandings(context);
  const lostAttempts = await closeLostAttempts(context);
  await checkSources(context);
  const reopened = await reopen(context);
  return { landedBefore, lostAttempts, reopened };
}

/** A proof that was cut off is made anew; what it left running would only be in its way. */
async function removeGateWorkspaces(context: RunContext): Promise<void> {
  const prefix = gateWorkspaceId(context.runId, "");
  for (const id of await context.provider.list()) {
    if (id.startsWith(prefix)) await context.provider.remove(id);
  }
}

/** The history of the branch says whether an intended landing happened; nothing else can. */
async function settleLandings(context: RunContext): Promise<readonly string[]> {
  const { repository, config, store, runId } = context;
  const landed: string[] = [];
  for (const { landing, commits } of await listOpenLandings(store.tables, runId)) {
    const move = {
      landingId: landing.id,
      base: landing.base_commit,
      tip: landing.tip_commit,
      commits: commits.map(({ task_id, commit_id }) => ({ taskId: task_id, commit: commit_id })),
    };
    const tip = await repository.branchTip(config.main_branch);
    if (tip !== null && (await hasLanded(context, move.base, tip.commit, commits))) {
      await recordLanded(context, move);
      landed.push(...move.commits.map(({ taskId }) => taskId));
      continue;
    }
    const outcome = await carryOut(context, move);
    if (outcome === "moved") landed.push(...move.commits.map(({ taskId }) => taskId));
    if (outcome === "outrun") await takeBackAfterCrash(context, move);
  }
  return landed;
}

/** By the tokens in the trailers, which a person's rebase keeps and which are never issued twice. */
async function hasLanded(
  context: RunContext,
  base: string,
  tip: string,
  commits: readonly { readonly token: number }[],
): Promise<boolean> {
  if (base === tip) return false;
  const found = await context.repository.findLanded({ from: base, to: tip });
  const tokens = new Set(
    found.filter(({ run }) => run === context.runId).map(({ attempt }) => attempt),
  );
  return commits.some(({ token }) => tokens.has(String(token)));
}

async function closeLostAttempts(context: RunContext): Promise<readonly string[]> {
  const lost: string[] = [];
  for (const attempt of await listOpenAttempts(context.store.tables, context.runId)) {
    await context.provider.endLeftovers(attempt.workspace_id);
    await closeLost(context, attempt);
    lost.push(`${attempt.task_id}#${attempt.number}`);
  }
  return lost;
}

async function closeLost(context: RunContext, attempt: AttemptRow): Promise<void> {
  const key = { runId: context.runId, taskId: attempt.task_id };
  const subject = { task_id: key.taskId, attempt: attempt.number };
  const { row } = context.board.get(key.taskId);
  const losses = await countLost(context, key.taskId);
  const moved = await context.store.record(async (change) => {
    await closeAttempt(change, {
      token: attempt.token,
      status: "lost",
      reason: "orchestrator-died",
      sourceCommit: null,
      verdicts: [],
    });
    await change.event(context.runId, {
      type: "attempt.ended",
      ...subject,
      payload: { outcome: "lost", reason: "orchestrator-died", duration_ms: 0, usage: null },
    });
    if (row.state !== "running") return row;
    if (losses >= LOST_ATTEMPTS_MAX) {
      const reason = "lost-too-often";
      const message = `the orchestrator died ${losses + 1} times while it was worked on`;
      await change.event(context.runId, {
        type: "task.failed",
        ...subject,
        payload: { reason, message },
      });
      return moveTaskIn(change, key, "fail", { reason, message, ended_at: change.now });
    }
    await change.event(context.runId, {
      type: "task.retried",
      ...subject,
      payload: { reason: "orchestrator-died", feedback: "" },
    });
    // The loss of an orchestrator is not the task's fault: the try is given back.
    const values = { tries: Math.max(0, row.tries - 1), continue_token: null };
    return moveTaskIn(change, key, "retry", values);
  });
  context.board.put(moved);
}

async function countLost(context: RunContext, taskId: string): Promise<number> {
  const { count } = await context.store.tables
    .selectFrom("attempts")
    .select((select) => select.fn.countAll<number>().as("count"))
    .where("run_id", "=", context.runId)
    .where("task_id", "=", taskId)
    .where("status", "=", "lost")
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** A validated task whose commits are gone from the repository has to be done again. */
async function checkSources(context: RunContext): Promise<void> {
  const refs = await context.repository.listRefs(runRefs(context.runId));
  const kept = new Map(refs.map(({ ref, id }) => [ref, id]));
  for (const { row } of context.board.validated()) {
    const key = { runId: context.runId, taskId: row.task_id };
    if (kept.get(taskRef(context.runId, row.task_id)) === row.source_commit) continue;
    const moved = await context.store.record(async (change) => {
      await change.event(context.runId, {
        type: "task.sent_back",
        task_id: row.task_id,
        payload: { reason: "commits-lost", feedback: "" },
      });
      return moveTaskIn(change, key, "send-back", { source_commit: null, source_base: null });
    });
    context.board.put(moved);
  }
}

/** Failed, skipped and held tasks get another chance, with their folder's manifest as it is now. */
async function reopen(context: RunContext): Promise<readonly string[]> {
  const reopened: string[] = [];
  for (const { row } of context.board.all()) {
    if (row.state !== "failed" && row.state !== "skipped" && row.state !== "needs_human_review") {
      continue;
    }
    if (row.landed_commit !== null) continue;
    context.board.put(await reopenTask(context, row));
    reopened.push(row.task_id);
  }
  return reopened;
}

async function reopenTask(context: RunContext, row: TaskRow): Promise<TaskRow> {
  const key = { runId: context.runId, taskId: row.task_id };
  const edited = row.folder === null ? null : await readTaskFolder(row.folder);
  return context.store.record(async (change) => {
    await change.event(context.runId, {
      type: "task.reopened",
      task_id: row.task_id,
      payload: { previous_state: row.state },
    });
    if (edited !== null && edited.manifest.id === row.task_id) {
      const manifest = JSON.stringify(edited.manifest);
      const fingerprint = fingerprintOf(edited);
      await updateTaskIn(change, key, { manifest, spec: edited.spec, fingerprint });
    }
    return moveTaskIn(change, key, "reopen", {
      tries: 0,
      reason: null,
      message: null,
      ended_at: null,
      continue_token: null,
    });
  });
}
