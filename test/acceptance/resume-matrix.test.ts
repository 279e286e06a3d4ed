import { describe, expect, it } from "vitest";
import { RUN_CRASH_POINTS, type CrashPoint } from "../../src/lib/crash-point.ts";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";

/** Four tasks through every step: two alone, one that needs another, one that is rescoped. */
const TASKS = [
  { id: "a", files: { writes: ["a.txt"] } },
  { id: "b", files: { writes: ["b.txt"] } },
  { id: "c", files: { writes: ["c.txt"] }, dependencies: ["a"] },
  { id: "d", files: { writes: [] } },
] as const;

const FILES = ["README.md", "a.txt", "b.txt", "c.txt", "mock-output.txt", "src/app.txt"];

async function prepare(sandbox: Sandbox): Promise<void> {
  await sandbox.configure({ max_parallel: 2, landing: { batch_max: 2, linger_seconds: 0 } });
  await sandbox.tasks(TASKS);
}

/** What must be the same, with the kill and without it. */
async function finalState(sandbox: Sandbox): Promise<unknown> {
  const { repository } = sandbox;
  const trailers = await repository.git("log", "--format=%(trailers:key=Mycelium-Task,valueonly)");
  const landed = trailers
    .split("\n")
    .filter((line) => line !== "")
    .toSorted();
  const state = sandbox.state("r1");
  return {
    status: state.status,
    tasks: state.tasks.map(({ id, state: taskState }) => `${id} ${taskState}`),
    landed,
    files: (await repository.git("ls-tree", "-r", "--name-only", "main")).split("\n"),
    checkout: await repository.git("status", "--porcelain", "--untracked-files=no"),
    openRefs: await repository.git("for-each-ref", "refs/mycelium/runs"),
  };
}

const EXPECTED = {
  status: "complete",
  tasks: ["a complete", "b complete", "c complete", "d complete"],
  landed: ["a", "b", "c", "d"],
  files: FILES,
  checkout: "",
  openRefs: "",
};

/** Some points are passed several times in a run: the later passes meet other states. */
const PASSES: Readonly<Partial<Record<CrashPoint, readonly number[]>>> = {
  "attempt.recorded": [1, 3, 5],
  "agent.ended": [1, 4],
  "task.validated": [1, 2, 4],
  "landing.intended": [1, 2],
  "landing.checkout-advanced": [1, 2],
  "landing.ref-moved": [1, 2],
  "landing.recorded": [1, 2],
};

const KILLS = RUN_CRASH_POINTS.flatMap((point) =>
  (PASSES[point] ?? [1]).map((pass) => ({ at: `${point}:${pass}` })),
);

describe("kill -9 in the middle of a run, then resume", () => {
  it("is compared with a run that nobody killed", async () => {
    await using sandbox = await makeSandbox();
    await prepare(sandbox);
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 0 });
    expect(await finalState(sandbox)).toEqual(EXPECTED);
  });

  it.each(KILLS)("comes to the same end after a kill at $at", async ({ at }) => {
    await using sandbox = await makeSandbox();
    await prepare(sandbox);
    const killed = await sandbox.mycelium(["run", "--run-id", "r1"], {
      env: { MYCELIUM_CRASH_AT: at },
    });
    expect(killed.signal).toBe("SIGKILL");
    const resumed = await sandbox.mycelium(["resume", "r1"]);
    // A run that was complete when it died is told to be so; its files are put right all the same.
    expect(resumed.code).toBe(at === "run.settled:1" ? 2 : 0);
    expect(await finalState(sandbox)).toEqual(EXPECTED);
    const tasks = ofType(sandbox.events("r1"), "task.completed").map(({ task_id }) => task_id);
    expect(tasks.toSorted()).toEqual(["a", "b", "c", "d"]);
  });

  it("may itself be killed and resumed again", async () => {
    await using sandbox = await makeSandbox();
    await prepare(sandbox);
    const env = { MYCELIUM_CRASH_AT: "landing.ref-moved:1" };
    expect(await sandbox.mycelium(["run", "--run-id", "r1"], { env })).toMatchObject({
      signal: "SIGKILL",
    });
    const again = await sandbox.mycelium(["resume", "r1"], {
      env: { MYCELIUM_CRASH_AT: "task.validated:1" },
    });
    expect(again.signal).toBe("SIGKILL");
    expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
    expect(await finalState(sandbox)).toEqual(EXPECTED);
  });
});
