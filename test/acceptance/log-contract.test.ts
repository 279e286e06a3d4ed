import { readdirSync, readFileSync } from "node:fs";
import { appendFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { EVENT_PAYLOADS, eventSchema, type RecordedEvent } from "../../src/domain/event.ts";
import { snapshotSchema } from "../../src/runs/snapshot.ts";
import { makeSandbox, type Sandbox } from "../support/cli.ts";
import { findMismatches, type JsonSchema } from "../support/json-schema.ts";
import { SHELL_AGENT } from "../support/shell-agent.ts";

const SCHEMA = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../schemas/event.schema.json"), "utf8"),
) as JsonSchema;

const append = 'echo "$MYCELIUM_TASK_ID" >> src/app.txt\n';

/** A rescope, a conflict, a failure, a skipped task, an attempt that was lost, and usage. */
async function runEventfully(sandbox: Sandbox): Promise<void> {
  const usage = `echo '{"type":"turn.completed","usage":{"input_tokens":10,"output_tokens":1}}'`;
  await sandbox.configure({
    ...SHELL_AGENT,
    max_attempts: 2,
    max_parallel: 2,
    lint: "test ! -f failing.txt",
    budgets: { mode: "warn", max_tokens_per_task: 5 },
  });
  await sandbox.tasks([
    { id: "a-conflict", spec: append, files: { writes: ["src/app.txt"] } },
    { id: "b-conflict", spec: append, files: { writes: ["src/app.txt"] } },
    {
      id: "failing",
      spec: `${usage}; echo oh no >&2; echo x > failing.txt`,
      files: { writes: ["**"] },
    },
    { id: "rescoped", spec: "echo x > undeclared.txt" },
    { id: "skipped", spec: "true", dependencies: ["failing"] },
  ]);
  const env = { MYCELIUM_CRASH_AT: "agent.ended:2" };
  const killed = await sandbox.mycelium(["run", "--run-id", "r1"], { env });
  expect(killed).toMatchObject({ signal: "SIGKILL" });
  expect(await sandbox.mycelium(["resume"])).toMatchObject({ code: 1 });
}

function linesOf(file: string): readonly string[] {
  const text = readFileSync(file, "utf8");
  expect(text.endsWith("\n")).toBe(true);
  return text.slice(0, -1).split("\n");
}

const runFolder = (sandbox: Sandbox): string => join(sandbox.home, "runs/r1");

function eventsIn(file: string): readonly RecordedEvent[] {
  return linesOf(file).map((line) => JSON.parse(line) as RecordedEvent);
}

/** What the database holds, put together as the files have it. */
function eventsInDatabase(sandbox: Sandbox): readonly RecordedEvent[] {
  const database = new DatabaseSync(join(sandbox.home, "mycelium.db"), { readOnly: true });
  try {
    const rows = database.prepare("select * from events where run_id = 'r1' order by seq").all();
    return rows.map(({ payload, ...row }) => {
      const fields = Object.entries(row).filter(([, value]) => value !== null);
      return {
        ...Object.fromEntries(fields),
        payload: JSON.parse(String(payload)),
      } as RecordedEvent;
    });
  } finally {
    database.close();
  }
}

/** Fields that say what an event is about, by the beginning of its type. */
const SUBJECTS: Readonly<Record<string, readonly (keyof RecordedEvent)[]>> = {
  run: [],
  task: ["task_id"],
  attempt: ["task_id", "attempt", "workspace_id"],
  workspace: ["task_id", "attempt", "workspace_id"],
  agent: ["task_id", "attempt", "workspace_id"],
  turn: ["task_id", "attempt", "workspace_id"],
  output: ["task_id", "attempt", "workspace_id"],
  manifest: ["task_id", "attempt", "workspace_id"],
  budget: ["task_id", "attempt", "workspace_id"],
  gate: [],
  landing: [],
  checkout: [],
};

describe("the log of an eventful run", () => {
  it("holds what it should, each line by its published schema, with what it is about", async () => {
    await using sandbox = await makeSandbox();
    await runEventfully(sandbox);
    const events = eventsIn(join(runFolder(sandbox), "orchestrator.jsonl"));
    for (const event of events) {
      expect(findMismatches(SCHEMA, event), JSON.stringify(event)).toEqual([]);
      eventSchema.parse(event);
      EVENT_PAYLOADS[event.type].parse(event.payload);
      expect(event.run_id).toBe("r1");
      const wanted = SUBJECTS[event.type.split(".")[0] ?? ""];
      expect(wanted, event.type).toBeDefined();
      const missing = wanted?.filter((field) => event[field] === undefined);
      expect(missing, JSON.stringify(event)).toEqual([]);
    }
    const types = new Set(events.map(({ type }) => type));
    for (const type of [
      "run.started",
      "run.resumed",
      "run.failed",
      "task.sent_back",
      "task.retried",
      "task.failed",
      "task.skipped",
      "attempt.started",
      "attempt.ended",
      "workspace.created",
      "agent.started",
      "agent.text",
      "agent.ended",
      "turn.completed",
      "budget.warn",
      "gate.decided",
      "manifest.violated",
      "manifest.rescoped",
      "landing.proposed",
      "landing.conflicted",
      "landing.landed",
      "checkout.updated",
    ] as const) {
      expect([...types]).toContain(type);
    }
  });

  it("is without a gap, in order, and the same in the database and in the tasks' own files", async () => {
    await using sandbox = await makeSandbox();
    await runEventfully(sandbox);
    const events = eventsIn(join(runFolder(sandbox), "orchestrator.jsonl"));
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    expect(events.map(({ ts }) => ts)).toEqual(events.map(({ ts }) => ts).toSorted());
    expect(events).toEqual(eventsInDatabase(sandbox));
    const byTask = Map.groupBy(events, ({ task_id }) => task_id);
    byTask.delete(undefined);
    const folders = readdirSync(join(runFolder(sandbox), "tasks"));
    expect(folders.toSorted()).toEqual([...byTask.keys()].toSorted());
    for (const [id, own] of byTask) {
      expect(eventsIn(join(runFolder(sandbox), `tasks/${id}/events.jsonl`))).toEqual(own);
    }
  });

  it("tells each task's attempts as the snapshot has them, which is valid by its schema", async () => {
    await using sandbox = await makeSandbox();
    await runEventfully(sandbox);
    const file = join(runFolder(sandbox), "state.json");
    const state = snapshotSchema.parse(JSON.parse(readFileSync(file, "utf8")));
    expect(state).toMatchObject({ run_id: "r1", status: "failed", stop_reason: "task-failed" });
    const events = eventsIn(join(runFolder(sandbox), "orchestrator.jsonl"));
    for (const { id, attempts, state: taskState } of state.tasks) {
      const of = (type: string): readonly RecordedEvent[] =>
        events.filter((event) => event.task_id === id && event.type === type);
      expect(of("attempt.started").map(({ attempt }) => attempt)).toEqual(
        Array.from({ length: attempts }, (_, index) => index + 1),
      );
      expect(of("attempt.ended")).toHaveLength(attempts);
      expect(of("task.completed")).toHaveLength(taskState === "complete" ? 1 : 0);
    }
    expect(readdirSync(runFolder(sandbox)).toSorted()).toEqual([
      "orchestrator.jsonl",
      "state.json",
      "tasks",
    ]);
  });

  it("is made whole by the next resume where its end is torn, missing or rubbish", async () => {
    await using sandbox = await makeSandbox();
    await runEventfully(sandbox);
    const file = join(runFolder(sandbox), "orchestrator.jsonl");
    const task = join(runFolder(sandbox), "tasks/rescoped/events.jsonl");
    const length = readFileSync(file).length;
    await truncate(file, Math.floor(length / 2));
    await appendFile(task, '{"v":1,"seq":99999');
    expect(await sandbox.mycelium(["resume"])).toMatchObject({ code: 1 });
    expect(eventsIn(file)).toEqual(eventsInDatabase(sandbox));
    const own = eventsInDatabase(sandbox).filter(({ task_id }) => task_id === "rescoped");
    expect(eventsIn(task)).toEqual(own);
  });
});
