import type { NewEvent } from "../domain/event.ts";
import { addUsage, NO_USAGE, type Usage } from "../domain/usage.ts";
import type { AttemptMeans, AttemptOrder } from "../hive/attempt.ts";
import { runAttempt } from "../hive/run-attempt.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { insertAttempt, setUsage } from "../store/attempts.ts";
import { moveTaskIn } from "../store/tasks.ts";
import type { BaseJudge } from "./base-judge.ts";
import type { BoardTask } from "./board.ts";
import { bootstrapGates, taskGates } from "./gate-commands.ts";
import { seedAt, taskRef, type RunContext } from "./run-context.ts";
import { settleAttempt } from "./settle-attempt.ts";

/** Makes one attempt at a pending task, from its first record to its last. */
export async function workOnTask(
  context: RunContext,
  judgeOnBase: BaseJudge,
  taskId: string,
  tip: string,
): Promise<void> {
  const task = context.board.get(taskId);
  const agent = context.agents(task.manifest.agent ?? context.agentName);
  const order = await openAttempt(context, task, agent.name, tip);
  crashPoint("attempt.recorded");
  const startedMs = context.store.clock.monotonic();
  let used: Usage | null = null;
  const subject = { task_id: taskId, attempt: order.number, workspace_id: order.workspaceId };
  const record = async (events: readonly NewEvent[]): Promise<void> => {
    if (events.length === 0) return;
    await context.store.record(async (change) => {
      for (const event of events) await change.event(context.runId, { ...event, ...subject });
    });
  };
  const recordUsage = async (usage: Usage): Promise<void> => {
    used = addUsage(used ?? NO_USAGE, usage);
    const whole = used;
    await context.store.record(async (change) => {
      await setUsage(change, order.token, whole);
      const payload = { usage };
      await change.event(context.runId, { type: "turn.completed", ...subject, payload });
    });
  };
  const outcome = await runAttempt(order, {
    ...means(context, judgeOnBase, order),
    agent,
    prices: context.config.agents.get(agent.name)?.prices,
    record,
    recordUsage,
  });
  const durationMs = Math.round(context.store.clock.monotonic() - startedMs);
  await settleAttempt(context, { order, outcome, durationMs, usage: used });
}

/** Records that the task runs, before anything runs. */
async function openAttempt(
  context: RunContext,
  task: BoardTask,
  agent: string,
  tip: string,
): Promise<AttemptOrder> {
  const { row, manifest } = task;
  const before = await continuedAttempt(context, task);
  const number = row.attempts + 1;
  const base = before?.base_commit ?? tip;
  const workspaceId = before?.workspace_id ?? `${context.runId}.${row.task_id}.${number}`;
  const key = { runId: context.runId, taskId: row.task_id };
  const token = await context.store.record(async (change) => {
    const moved = await moveTaskIn(change, key, "start", {
      attempts: number,
      tries: row.tries + 1,
      continue_token: null,
      started_at: row.started_at ?? change.now,
    });
    const opened = await insertAttempt(change, {
      run_id: context.runId,
      task_id: row.task_id,
      number,
      base_commit: base,
      agent,
      workspace_id: workspaceId,
    });
    const subject = { task_id: row.task_id, attempt: number, workspace_id: workspaceId };
    await change.event(context.runId, {
      type: "task.started",
      ...subject,
      payload: { name: row.name, base },
    });
    await change.event(context.runId, {
      type: "attempt.started",
      ...subject,
      payload: {
        token: opened,
        base,
        agent,
        workspace: context.provider.kind,
        reused: before !== undefined,
      },
    });
    context.board.put(moved);
    return opened;
  });
  return {
    runId: context.runId,
    taskId: row.task_id,
    number,
    token,
    manifest,
    spec: row.spec,
    feedback: row.feedback,
    base,
    seed: seedAt(context, base, `task/${row.task_id}`),
    workspaceId,
    continues: before !== undefined,
  };
}

async function continuedAttempt(
  context: RunContext,
  { row }: BoardTask,
): Promise<{ base_commit: string; workspace_id: string } | undefined> {
  if (row.continue_token === null) return undefined;
  return context.store.tables
    .selectFrom("attempts")
    .select(["base_commit", "workspace_id"])
    .where("token", "=", row.continue_token)
    .executeTakeFirst();
}

type SharedMeans = Omit<AttemptMeans, "agent" | "prices" | "record" | "recordUsage">;

function means(context: RunContext, judgeOnBase: BaseJudge, order: AttemptOrder): SharedMeans {
  const { config, repository } = context;
  return {
    provider: context.provider,
    env: context.workEnv,
    ledger: context.ledger,
    signal: context.stop.signal,
    judgeOnBase,
    rules: {
      bootstrap: bootstrapGates(config),
      gates: (manifest) => taskGates(config, manifest),
      resources: config.resources,
      enforcement: config.manifest_enforcement,
      autoRescope: config.auto_rescope,
      agentTimeoutMs: config.timeoutsMs.agent,
    },
    bringIn: async (bundle, head) => {
      const ref = taskRef(order.runId, order.taskId);
      const imported = await repository.importBundle({ bundle, ref, head, base: order.base });
      if (!imported.ok) return { kind: "refused", message: imported.failure.message };
      const changes = await repository.listChanges(order.base, head);
      return { kind: "imported", paths: changes.map(({ path }) => path) };
    },
  };
}
