import { describe, expect, it } from "vitest";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";

const USAGE = { MOCK_CODEX_USAGE: '{"input_tokens": 900, "output_tokens": 200}' };
const PLANNED = JSON.stringify({
  tasks: [{ id: "001", name: "Write", files: { writes: ["out.txt"] }, spec: "Write out.txt." }],
});

async function plan(sandbox: Sandbox): Promise<void> {
  await sandbox.repository.write("plan.md", "Write a file.\n");
  const planned = await sandbox.mycelium(["plan", "--input", "plan.md"], {
    env: { MOCK_LLM_OUTPUT: PLANNED },
  });
  expect(planned).toMatchObject({ code: 0 });
}

describe("G0.1: a budget in block mode", () => {
  it("fails the run, moves nothing and says so in the log", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ budgets: { mode: "block", max_tokens_per_task: 1000 } });
    await plan(sandbox);
    const before = await sandbox.tip();
    const run = await sandbox.mycelium(["run", "--run-id", "r1"], { env: USAGE });
    expect(run.code).toBe(3);
    expect(sandbox.state("r1")).toMatchObject({ status: "failed", stop_reason: "budget" });
    expect(await sandbox.tip()).toBe(before);
    const [block] = ofType(sandbox.events("r1"), "budget.block");
    expect(block?.payload).toMatchObject({
      scope: "task",
      unit: "tokens",
      limit: 1000,
      used: 1100,
    });
    expect(ofType(sandbox.events("r1"), "landing.landed")).toEqual([]);
    expect(run.stderr + run.stdout).toContain("1000 tokens");
  });

  it("goes on after the limit was raised, and lands", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ budgets: { mode: "block", max_tokens_per_task: 1000 } });
    await plan(sandbox);
    await sandbox.mycelium(["run", "--run-id", "r1"], { env: USAGE });
    await sandbox.configure({ budgets: { mode: "block", max_tokens_per_task: 10_000 } });
    const resumed = await sandbox.mycelium(["resume", "r1"], { env: USAGE });
    expect(resumed).toMatchObject({ code: 0 });
    expect(await sandbox.repository.git("show", "main:out.txt")).toContain("001");
  });

  it("counts the whole run, by tokens", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({
      max_parallel: 1,
      landing: { linger_seconds: 0 },
      budgets: { mode: "block", max_tokens_per_run: 2000 },
    });
    await sandbox.tasks([
      { id: "1", files: { writes: ["1.txt"] } },
      { id: "2", files: { writes: ["2.txt"] }, dependencies: ["1"] },
    ]);
    const run = await sandbox.mycelium(["run", "--run-id", "r1"], { env: USAGE });
    expect(run.code).toBe(3);
    const [block] = ofType(sandbox.events("r1"), "budget.block");
    expect(block?.payload).toMatchObject({ scope: "run", unit: "tokens", limit: 2000, used: 2200 });
    expect(sandbox.state("r1").tasks.map(({ state }) => state)).toEqual(["complete", "failed"]);
    await expect(sandbox.repository.git("show", "main:2.txt")).rejects.toThrow();
  });

  it("counts the whole run, by money", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ budgets: { mode: "block", max_cost_per_run: 0.01 } });
    await plan(sandbox);
    const before = await sandbox.tip();
    const usage = '{"input_tokens": 10, "output_tokens": 10, "cost_usd": 0.02}';
    const run = await sandbox.mycelium(["run", "--run-id", "r1"], {
      env: { MOCK_CODEX_USAGE: usage },
    });
    expect(run.code).toBe(3);
    const [block] = ofType(sandbox.events("r1"), "budget.block");
    expect(block?.payload).toMatchObject({ scope: "run", unit: "usd", limit: 0.01, used: 0.02 });
    expect(await sandbox.tip()).toBe(before);
  });

  it("takes a cost that nobody knows for too much", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ budgets: { mode: "block", max_cost_per_run: 5 } });
    await plan(sandbox);
    const before = await sandbox.tip();
    const run = await sandbox.mycelium(["run", "--run-id", "r1"], { env: USAGE });
    expect(run.code).toBe(3);
    expect(ofType(sandbox.events("r1"), "budget.block")[0]?.payload).toMatchObject({ used: null });
    expect(await sandbox.tip()).toBe(before);
  });

  it("stops an agent in the middle of its work", async () => {
    await using sandbox = await makeSandbox();
    const line = '{"type":"turn.completed","usage":{"input_tokens":5000,"output_tokens":1}}';
    await sandbox.configure({
      budgets: { mode: "block", max_tokens_per_task: 1000 },
      agents: { command: { command: `echo '${line}'; sleep 60; echo late > out.txt` } },
    });
    await sandbox.tasks([{ id: "1", files: { writes: ["out.txt"] } }]);
    const startedMs = performance.now();
    const run = await sandbox.mycelium(["run", "--run-id", "r1", "--agent", "command"]);
    expect(run.code).toBe(3);
    expect(performance.now() - startedMs).toBeLessThan(50_000);
    expect(ofType(sandbox.events("r1"), "agent.ended")[0]?.payload).toMatchObject({
      reason: "aborted",
    });
  });
});

describe("a budget in warn mode", () => {
  it("tells once and lands all the same", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ budgets: { mode: "warn", max_tokens_per_task: 1000 } });
    await plan(sandbox);
    const before = await sandbox.tip();
    const run = await sandbox.mycelium(["run", "--run-id", "r1"], { env: USAGE });
    expect(run.code).toBe(0);
    expect(ofType(sandbox.events("r1"), "budget.warn")).toHaveLength(1);
    expect(ofType(sandbox.events("r1"), "budget.block")).toEqual([]);
    expect(sandbox.state("r1").status).toBe("complete");
    expect(await sandbox.tip()).not.toBe(before);
  });
});
