import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { makeGitRepository, type TestRepository } from "../../test/support/git-repository.ts";
import { readEnvironment } from "../config/environment.ts";
import type { RecordedEvent } from "../domain/event.ts";
import { systemClock } from "../lib/clock.ts";
import type { RunReport } from "../runs/report.ts";
import { OPERATIONS, perform, type OperationContext } from "./operations.ts";

describe("the list of operations", () => {
  const all = Object.values(OPERATIONS);

  test("names each once and says what it does in one line", () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    for (const { name, summary } of all) {
      expect(name).toMatch(/^[a-z]+(\.[a-z_]+)?$/);
      expect(summary).toMatch(/^[A-Z][^\n]*[^.\n]$/);
    }
  });

  test.each(all)(
    "$name has inputs and outputs that other programs can read the schema of",
    (one) => {
      for (const schema of [one.input, one.output]) {
        expect(z.toJSONSchema(schema, { io: "input" })).toMatchObject({ type: "object" });
      }
    },
  );
});

describe("on a real repository", () => {
  let repository: TestRepository;
  let home: string;
  let events: RecordedEvent[];
  let starts: RunReport[];

  beforeEach(async () => {
    repository = await makeGitRepository();
    home = join(repository.folder, "mycelium-home");
    events = [];
    starts = [];
  });
  afterEach(() => repository[Symbol.asyncDispose]());

  function context(variables: Readonly<Record<string, string>> = {}): OperationContext {
    const { env, path: cwd } = repository;
    const all = { ...env, MYCELIUM_HOME: home, MOCK_LLM: "1", ...variables };
    return {
      session: { id: "person", kind: "person" },
      environment: readEnvironment({ variables: all, cwd }),
      cwd,
      configFile: undefined,
      clock: systemClock,
      signal: new AbortController().signal,
      onEvent: (event) => events.push(event),
      onStart: (report) => starts.push(report),
      version: "0.0.0",
    };
  }

  async function configure(settings: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const folder = join(repository.path, ".mycelium");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, ".gitignore"), "*\n");
    const whole = { main_branch: "main", doctor: "test -f README.md", ...settings };
    await writeFile(join(folder, "config.yaml"), JSON.stringify(whole));
  }

  const reply = {
    tasks: ["a", "b"].map((id) => ({
      id,
      name: `Task ${id}`,
      dependencies: id === "b" ? ["a"] : [],
      files: { writes: [`${id}.txt`] },
      spec: "Write it.",
    })),
  };
  const planning = { MOCK_LLM_OUTPUT: JSON.stringify(reply) };

  async function plan(): Promise<void> {
    await writeFile(join(repository.path, "PLAN.md"), "# Plan\n");
    await perform(OPERATIONS.plan, context(planning), { input: "PLAN.md" });
  }

  test("init, plan, preview, run, status, logs and clean go hand in hand", async () => {
    const written = await perform(OPERATIONS.init, context(), {});
    expect(written.missing).toEqual(["doctor"]);
    await configure();
    await plan();
    expect(await perform(OPERATIONS.previewRun, context(), {})).toEqual({
      batches: [[{ id: "a", name: "Task a" }], [{ id: "b", name: "Task b" }]],
    });
    expect(existsSync(home)).toBe(false);
    const end = await perform(OPERATIONS.run, context(), { run_id: "r1" });
    expect(end).toMatchObject({ run_id: "r1", status: "complete", exit_code: 0 });
    expect(events.at(0)?.type).toBe("run.started");
    expect(events.at(-1)?.type).toBe("run.completed");
    expect(await repository.git("ls-tree", "--name-only", "main")).toContain("b.txt");
    const { exit_code: _exitCode, ...report } = end;
    expect(await perform(OPERATIONS.status, context(), {})).toEqual(report);
    const found = await perform(OPERATIONS.queryLog, context(), { type: "landing.landed" });
    expect(found.events.flatMap(({ payload }) => payload["tasks"])).toEqual(["a", "b"]);
    await perform(OPERATIONS.clean, context(), { run_id: "r1" });
    expect(await perform(OPERATIONS.listRuns, context(), {})).toEqual({ runs: [] });
    expect(await repository.git("for-each-ref", "refs/mycelium/runs")).toBe("");
  });

  test("plan writes where it is told, and nothing in a dry run", async () => {
    await configure();
    await writeFile(join(repository.path, "PLAN.md"), "# Plan\n");
    const input = { input: "PLAN.md", output: "elsewhere", dry_run: true };
    const dry = await perform(OPERATIONS.plan, context(planning), input);
    const folder = join(repository.path, "elsewhere");
    expect(dry).toMatchObject({ tasks_dir: folder, tasks: [{ id: "a" }, { id: "b" }] });
    expect(existsSync(folder)).toBe(false);
    await perform(OPERATIONS.plan, context(planning), { ...input, dry_run: false });
    expect(await readFile(join(folder, "a-task-a", "spec.md"), "utf8")).toBe("Write it.");
  });

  test("a failed run is resumed from anywhere, with its own configuration", async () => {
    await configure({ doctor: "test -f mended" });
    await plan();
    const failed = await perform(OPERATIONS.run, context(), { run_id: "r1" });
    expect(failed).toMatchObject({ exit_code: 1, status: "failed" });
    await configure({ doctor: "true" });
    const elsewhere = { ...context(), cwd: repository.folder };
    const resumed = await perform(OPERATIONS.resume, elsewhere, {});
    expect(resumed).toMatchObject({ run_id: "r1", status: "complete", exit_code: 0 });
    expect(starts).toMatchObject([{ run_id: "r1", status: "failed" }]);
    await expect(perform(OPERATIONS.resume, context(), {})).rejects.toMatchObject({
      failure: { code: "run-missing" },
    });
  });

  test("keys that an agent is passed stand nowhere in the logs", async () => {
    const key = "correct-horse-battery-9";
    await configure({
      agent: "leaky",
      agents: {
        leaky: { command: 'echo "key: $MY_API_KEY"; echo x > a.txt', pass_env: ["MY_API_KEY"] },
      },
    });
    await plan();
    await perform(OPERATIONS.run, context({ MY_API_KEY: key }), { tasks: ["a"], run_id: "r1" });
    const log = await readFile(join(home, "runs/r1/orchestrator.jsonl"), "utf8");
    expect(log).toContain("key: [redacted]");
    expect(log).not.toContain(key);
  });

  test.each([
    [{}, { tasks: ["nope"] }, "task-invalid"],
    [{}, { tasks: ["../x"] }, "usage"],
    [{}, { max_parallel: 0 }, "usage"],
    [{}, { colour: "red" }, "usage"],
    [{}, { agent: "nobody" }, "agent-unknown"],
    [{}, { workspace: "cloud" }, "workspace-unavailable"],
    [{ MOCK_LLM: "0" }, {}, "agent-unknown"],
    [{ MYCELIUM_CRASH_AT: "nowhere" }, {}, "usage"],
  ])("with %j a run of %j is refused: %s", async (variables, input, code) => {
    await configure();
    await plan();
    const running = perform(OPERATIONS.run, context(variables), input);
    await expect(running).rejects.toMatchObject({ failure: { code } });
    expect(await perform(OPERATIONS.listRuns, context(), {})).toEqual({ runs: [] });
  });
});
