import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NewEvent } from "../../src/domain/event.ts";
import type { GateAnswer, GateVerdict } from "../../src/domain/gate.ts";
import { STOP_REASONS, type StopReason } from "../../src/domain/run.ts";
import { manifestSchema } from "../../src/domain/task.ts";
import { addUsage, NO_USAGE, usageSchema, type Usage } from "../../src/domain/usage.ts";
import { closeAttempt, insertAttempt, setUsage } from "../../src/store/attempts.ts";
import { insertIntent, settleLanding } from "../../src/store/landings.ts";
import { insertRun, moveRunIn } from "../../src/store/runs.ts";
import { openStore, type Change, type Store } from "../../src/store/store.ts";
import { insertTasks, moveTaskIn, type TaskKey } from "../../src/store/tasks.ts";
import { manualClock, type ManualClock } from "./manual-clock.ts";

export interface TestHome extends AsyncDisposable {
  readonly path: string;
  readonly clock: ManualClock;
  readonly store: Store;
}

/** A MYCELIUM_HOME of a test's own with a real store in it, gone with `await using`. */
export async function makeTestHome(): Promise<TestHome> {
  const path = await mkdtemp(join(tmpdir(), "mycelium-test-"));
  const clock = manualClock();
  const store = await openStore({ home: path, clock, redact: (text) => text });
  return {
    path,
    clock,
    store,
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}

export interface RecordedTask {
  readonly id: string;
  readonly name?: string;
  readonly dependencies?: readonly string[];
}

export interface RecordedRunOptions {
  readonly runId?: string;
  readonly repository?: string;
  readonly configPath?: string;
  /** The commit that everything starts from. */
  readonly base?: string;
  readonly tasks: readonly RecordedTask[];
}

export interface RecordedGate {
  readonly gate: GateVerdict["gate"];
  readonly answer?: GateAnswer;
  readonly reason?: string;
  readonly durationMs?: number;
  readonly outputTail?: string;
}

export interface RecordedAttempt {
  readonly gates?: readonly RecordedGate[];
  /** `null` for an agent that told nothing of what it used. */
  readonly usage?: Partial<Usage> | null;
  readonly durationMs?: number;
  readonly text?: string;
  /** Leaves it running. */
  readonly open?: boolean;
  /** Why it was rejected; validated where there is none. */
  readonly rejected?: string;
  readonly then?: "retry" | "fail" | "hold";
  readonly message?: string;
}

/** Records a run by the store's own functions, as the hive would, on a clock that stands still. */
export interface RecordedRun {
  readonly runId: string;
  attempt(taskId: string, attempt?: RecordedAttempt): Promise<void>;
  land(taskIds: readonly string[]): Promise<void>;
  stop(reason: StopReason, message: string, hint?: string): Promise<void>;
  complete(): Promise<void>;
  resume(): Promise<void>;
  event(event: NewEvent): Promise<void>;
}

export const BASE = "0".repeat(39) + "1";
export const TIP = "0".repeat(39) + "2";

/** A commit made up from a task's place: as long as git's, and different for each. */
export function commitOf(taskId: string): string {
  return Buffer.from(taskId).toString("hex").padEnd(40, "f").slice(0, 40);
}

const MINUTE_MS = 60_000;

export async function recordRun(
  { store, clock }: Pick<TestHome, "store" | "clock">,
  options: RecordedRunOptions,
): Promise<RecordedRun> {
  const runId = options.runId ?? "run-1";
  await store.record(async (change) => recordStart(change, runId, options));
  const attempts = new Map<string, number>();
  const tokens = new Map<string, number>();
  const base = options.base ?? BASE;
  return {
    runId,
    attempt: async (taskId, attempt = {}) => {
      const number = (attempts.get(taskId) ?? 0) + 1;
      attempts.set(taskId, number);
      const key = { runId, taskId };
      const token = await store.record((change) => openAttempt(change, key, number, base));
      tokens.set(taskId, token);
      clock.advance(attempt.durationMs ?? MINUTE_MS);
      await store.record((change) => endAttempt(change, { key, number, token, attempt }));
    },
    land: (taskIds) => store.record((change) => recordLanding(change, runId, taskIds, tokens)),
    stop: (reason, message, hint = "mend it, then `mycelium resume`") =>
      store.record(async (change) => {
        const { move } = STOP_REASONS[reason];
        const type = move === "pause" ? "run.paused" : "run.failed";
        await change.event(runId, { type, payload: { reason, message, hint } });
        await moveRunIn(change, runId, move, { reason, message });
      }),
    complete: () =>
      store.record(async (change) => {
        const payload = { landed: attempts.size, tip: TIP };
        await change.event(runId, { type: "run.completed", payload });
        await moveRunIn(change, runId, "complete");
      }),
    resume: () => store.record((change) => moveRunIn(change, runId, "resume")),
    event: (event) => store.record((change) => change.event(runId, event)),
  };
}

async function recordStart(
  change: Change,
  runId: string,
  { tasks, repository = "/repository/.git", configPath, base = BASE }: RecordedRunOptions,
): Promise<void> {
  const shared = { repository, branch: "main", agent: "mock", max_parallel: 2 };
  await insertRun(change, {
    ...shared,
    id: runId,
    config_path: configPath ?? "/repository/.mycelium/config.yaml",
    base_commit: base,
    workspace_kind: "local",
  });
  const rows = tasks.map(({ id, name = `Task ${id}`, dependencies = [] }, ordinal) => ({
    run_id: runId,
    task_id: id,
    ordinal,
    name,
    folder: null,
    manifest: JSON.stringify(manifestSchema.parse({ id, name, dependencies })),
    spec: `Do ${name}.`,
    fingerprint: "",
  }));
  await insertTasks(change, rows);
  const payload = { ...shared, base, workspace: "local", tasks: tasks.map(({ id }) => id) };
  await change.event(runId, { type: "run.started", payload });
}

async function openAttempt(
  change: Change,
  key: TaskKey,
  number: number,
  base: string,
): Promise<number> {
  const { runId, taskId } = key;
  const row = await moveTaskIn(change, key, "start", {
    attempts: number,
    ...(number === 1 && { started_at: change.now }),
  });
  const workspaceId = `${runId}.${taskId}.${number}`;
  const token = await insertAttempt(change, {
    run_id: runId,
    task_id: taskId,
    number,
    base_commit: base,
    agent: "mock",
    workspace_id: workspaceId,
  });
  const subject = { task_id: taskId, attempt: number, workspace_id: workspaceId };
  const started = { token, base, agent: "mock", workspace: "local", reused: false };
  const task = { name: row.name, base };
  await change.event(runId, { type: "task.started", ...subject, payload: task });
  await change.event(runId, { type: "attempt.started", ...subject, payload: started });
  return token;
}

interface OpenAttempt {
  readonly key: TaskKey;
  readonly number: number;
  readonly token: number;
  readonly attempt: RecordedAttempt;
}

async function endAttempt(change: Change, open: OpenAttempt): Promise<void> {
  const { key, number, token, attempt } = open;
  const subject = { task_id: key.taskId, attempt: number };
  const usage = attempt.usage === null ? null : usageSchema.parse(attempt.usage ?? {});
  if (attempt.text !== undefined) {
    const payload = { stream: "stdout", text: attempt.text } as const;
    await change.event(key.runId, { type: "agent.text", ...subject, payload });
  }
  if (usage !== null) {
    await setUsage(change, token, addUsage(NO_USAGE, usage));
    await change.event(key.runId, { type: "turn.completed", ...subject, payload: { usage } });
  }
  const verdicts = (attempt.gates ?? []).map(verdictOf);
  for (const { exitCode, durationMs, logDigest, outputTail, ...verdict } of verdicts) {
    const payload = {
      ...verdict,
      exit_code: exitCode,
      duration_ms: durationMs,
      log_digest: logDigest,
      commit: commitOf(key.taskId),
      output_tail: outputTail,
    };
    await change.event(key.runId, { type: "gate.decided", ...subject, payload });
  }
  if (attempt.open === true) return;
  const reason = attempt.rejected ?? "validated";
  const status = attempt.rejected === undefined ? "validated" : "rejected";
  await closeAttempt(change, { token, status, reason, sourceCommit: null, verdicts });
  const payload = {
    outcome: status,
    reason,
    duration_ms: attempt.durationMs ?? MINUTE_MS,
    usage: usage ?? NO_USAGE,
  };
  await change.event(key.runId, { type: "attempt.ended", ...subject, payload });
  await settle(change, open, reason);
}

async function settle(change: Change, open: OpenAttempt, reason: string): Promise<void> {
  const { key, number, attempt } = open;
  const { message = `it did not work out: ${reason}` } = attempt;
  const subject = { task_id: key.taskId, attempt: number };
  const told = { reason, message };
  if (attempt.rejected === undefined) {
    const payload = { commit: commitOf(key.taskId), files: 1 };
    await change.event(key.runId, { type: "task.validated", ...subject, payload });
    await moveTaskIn(change, key, "validate", { source_commit: commitOf(key.taskId) });
  } else if (attempt.then === "fail") {
    await change.event(key.runId, { type: "task.failed", ...subject, payload: told });
    await moveTaskIn(change, key, "fail", { ...told, ended_at: change.now });
  } else if (attempt.then === "hold") {
    await change.event(key.runId, { type: "task.review_requested", ...subject, payload: told });
    await moveTaskIn(change, key, "hold", told);
  } else {
    const payload = { reason, feedback: message };
    await change.event(key.runId, { type: "task.retried", ...subject, payload });
    await moveTaskIn(change, key, "retry", { reason, feedback: message });
  }
}

function verdictOf(gate: RecordedGate): GateVerdict {
  const answer = gate.answer ?? "pass";
  return {
    gate: gate.gate,
    answer,
    reason: gate.reason ?? (answer === "pass" ? "exit code 0" : "exit code 1"),
    command: "npm test",
    exitCode: answer === "pass" ? 0 : 1,
    durationMs: gate.durationMs ?? 1_000,
    logDigest: null,
    outputTail: gate.outputTail ?? "",
  };
}

async function recordLanding(
  change: Change,
  runId: string,
  taskIds: readonly string[],
  tokens: ReadonlyMap<string, number>,
): Promise<void> {
  const commits = taskIds.map((taskId) => ({
    taskId,
    token: tokens.get(taskId) ?? 0,
    commit: commitOf(taskId),
  }));
  const tasks = [...taskIds];
  const landing = { base: BASE, tip: TIP, tasks };
  await change.event(runId, { type: "landing.proposed", payload: landing });
  const id = await insertIntent(change, { runId, base: BASE, tip: TIP, commits });
  await settleLanding(change, id, "landed");
  await change.event(runId, { type: "landing.landed", payload: landing });
  for (const { taskId, commit } of commits) {
    await change.event(runId, { type: "task.completed", task_id: taskId, payload: { commit } });
    const values = { landed_commit: commit, reason: null, message: null, ended_at: change.now };
    await moveTaskIn(change, { runId, taskId }, "land", values);
  }
}
