import { existsSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventually } from "../../../test/support/eventually.ts";
import {
  GOLDEN_COMMANDS,
  sessionOf,
  swarmRig,
  swarmUntilKilled,
} from "../../../test/support/swarm-rig.ts";
import { systemClock } from "../../lib/clock.ts";
import { openSessionBook } from "../../sessions/session-book.ts";
import { OPERATIONS } from "../operations.ts";

const SESSION = "s-one";
const asking = { session: sessionOf(SESSION) };
const golden = { golden_workspace: "own", snapshot: "golden" } as const;
const merging = { merge_strategy: "sequential", merge_target: "own" } as const;

const adding = (name: string) => ({
  name,
  command: `echo ${name} > ${name}.txt && git add . && git commit -q -m 'add ${name}'`,
});

/** A session that may have so many workspaces, one of which is its golden. */
async function rigOf(workspaces: number) {
  const rig = await swarmRig();
  writeFileSync(join(rig.home, "sessions.yaml"), `quota: {workspaces: ${workspaces}}\n`);
  await rig.ask(OPERATIONS.toolWorkspaceCreate, { name: "own", kind: "local" }, asking);
  for (const command of GOLDEN_COMMANDS) await rig.say("own", command);
  const snapshot = { workspace_id: "own", action: "create", name: "golden" } as const;
  await rig.ask(OPERATIONS.toolSnapshot, snapshot, asking);
  const own = () => rig.ask(OPERATIONS.toolWorkspaceCreate, { kind: "local" }, asking);
  return { rig, own, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

const full = { failure: { code: "quota-exceeded" } };

describe("workers of a session's swarm take room of its quota", () => {
  test("where it has none for them, nothing is begun", async () => {
    await using made = await rigOf(3);
    const { rig, own } = made;
    const tasks = ["a", "b", "c"].map(adding);
    const run = (input: object) =>
      rig.ask(OPERATIONS.runSwarmTasks, { ...golden, tasks, ...input }, asking);
    // What waits for a merge stays, and so does what nobody cleans up: three at once.
    await expect(run({ max_parallel: 1, ...merging })).rejects.toMatchObject({
      failure: { code: "quota-exceeded", details: { owned: 1, adding: 3, quota: 3 } },
    });
    await expect(run({ max_parallel: 1, cleanup: false })).rejects.toMatchObject(full);
    await expect(run({ max_parallel: 3 })).rejects.toMatchObject(full);
    expect(await rig.ask(OPERATIONS.listSwarmRuns, {}, asking)).toEqual({ swarms: [] });
    expect(await rig.names()).toEqual(["own", "prep-golden"]);
    // Two at a time have room, and leave it as they found it.
    const report = await run({ max_parallel: 2 });
    expect(report.summary).toMatchObject({ succeeded: 3, workers_destroyed: 3 });
    await own();
    await own();
    await expect(own()).rejects.toMatchObject(full);
    expect(await readdir(join(rig.home, "rooms"))).toEqual([]);
  });

  test("what it will need is nobody else's while it runs, and free when it is over", async () => {
    await using made = await rigOf(3);
    const { rig, own } = made;
    const [begun, go] = [join(rig.home, "begun"), join(rig.home, "go")];
    const waiting = `touch '${begun}'; until [ -e '${go}' ]; do sleep 0.02; done`;
    const tasks = [{ name: "first", command: waiting }, adding("second")];
    const input = { ...golden, ...merging, max_parallel: 1, tasks };
    const running = rig.ask(OPERATIONS.runSwarmTasks, input, asking);
    await eventually("it runs", () => existsSync(begun));
    // One worker stands; the other's room is taken all the same.
    await expect(own()).rejects.toMatchObject({ failure: { details: { owned: 3, adding: 1 } } });
    const other = { session: sessionOf("s-two") };
    await rig.ask(OPERATIONS.toolWorkspaceCreate, { name: "others", kind: "local" }, other);
    await rig.say("own", `touch '${go}'`);
    expect((await running).summary).toMatchObject({ succeeded: 2, workers_destroyed: 2 });
    await own();
    await own();
  });

  test("workers that stay are the session's, and take their room", async () => {
    await using made = await rigOf(3);
    const { rig, own } = made;
    const input = { ...golden, cleanup: false, tasks: [adding("a")] };
    const report = await rig.ask(OPERATIONS.runSwarmTasks, input, asking);
    const worker = report.tasks[0]?.workspace_id ?? "";
    const exec = { workspace_id: worker, command: "cat a.txt" };
    expect(await rig.ask(OPERATIONS.toolExec, exec, asking)).toMatchObject({ stdout: "a\n" });
    await own();
    await expect(own()).rejects.toMatchObject(full);
    await rig.ask(OPERATIONS.toolWorkspaceDestroy, { workspace_id: worker }, asking);
    await own();
  });

  test("a person has no quota", async () => {
    await using made = await rigOf(1);
    const { rig } = made;
    const input = { ...golden, max_parallel: 2, tasks: [adding("a"), adding("b")] };
    const report = await rig.ask(OPERATIONS.runSwarmTasks, input);
    expect(report.summary).toMatchObject({ succeeded: 2 });
  });

  test.each(["swarm.worker-made:2", "swarm.task-settled:2", "swarm.worker-destroyed:1"])(
    "killed at %s, what stands takes its room until it is gone on with, and then none",
    async (crashAt) => {
      await using made = await rigOf(4);
      const { rig, own } = made;
      const tasks = ["a", "b"].map(adding);
      const input = { ...golden, ...merging, max_parallel: 2, tasks };
      const doing = {
        home: rig.home,
        crashAt,
        operation: "runSwarmTasks",
        session: SESSION,
      } as const;
      expect(await swarmUntilKilled({ ...doing, input })).toBe("SIGKILL");
      const standing = (await rig.names()).filter((name) => name.startsWith("swarm-")).length;
      expect(standing).toBeGreaterThan(0);
      // The promise died with its process; the workers did not.
      for (let left = 4 - 1 - standing; left > 0; left -= 1) {
        const { workspace_id } = await own();
        await rig.ask(OPERATIONS.toolWorkspaceDestroy, { workspace_id }, asking);
      }
      const { swarms } = await rig.ask(OPERATIONS.listSwarmRuns, {}, asking);
      const swarm = { swarm_id: swarms[0]?.swarm_id ?? "" };
      expect(await rig.ask(OPERATIONS.resumeSwarmRun, swarm, asking)).toMatchObject({
        state: "complete",
        summary: { succeeded: 2, workers_destroyed: 2 },
      });
      for (let left = 3; left > 0; left -= 1) await own();
      await expect(own()).rejects.toMatchObject(full);
    },
  );

  test("what a killed one left takes room as long as nobody goes on with it", async () => {
    await using made = await rigOf(3);
    const { rig, own } = made;
    const crashAt = "swarm.task-running:2";
    const input = { ...golden, ...merging, max_parallel: 2, tasks: ["a", "b"].map(adding) };
    const doing = {
      home: rig.home,
      crashAt,
      operation: "runSwarmTasks",
      session: SESSION,
    } as const;
    expect(await swarmUntilKilled({ ...doing, input })).toBe("SIGKILL");
    await expect(own()).rejects.toMatchObject({ failure: { details: { owned: 3 } } });
    const { swarms } = await rig.ask(OPERATIONS.listSwarmRuns, {}, asking);
    const swarm = { swarm_id: swarms[0]?.swarm_id ?? "" };
    await rig.ask(OPERATIONS.cancelSwarmRun, swarm, asking);
    await own();
    await own();
    await expect(own()).rejects.toMatchObject(full);
  });
});

describe("a session's swarm touches only what is its own", () => {
  const tasks = [{ name: "a", command: "true" }];
  const foreign = { failure: { code: "not-owner" } };

  test("another's golden is not forked, by whatever name, and nothing is begun", async () => {
    await using made = await rigOf(5);
    const { rig } = made;
    for (const session of [sessionOf("s-two"), sessionOf("s-three")]) {
      const names = [
        { golden_workspace: "own" },
        { golden_workspace: "prep-golden", snapshot_name: "own@golden" },
        { golden_workspace: "prep-golden" },
      ];
      for (const named of names) {
        const run = rig.ask(OPERATIONS.runSwarmTasks, { ...named, tasks }, { session });
        await expect(run).rejects.toMatchObject(foreign);
      }
    }
    expect(await rig.ask(OPERATIONS.listSwarmRuns, {})).toEqual({ swarms: [] });
    expect(await rig.names()).toEqual(["own", "prep-golden"]);
  });

  test("another's workspace is no target", async () => {
    await using made = await rigOf(5);
    const { rig } = made;
    const target = { ...golden, ...merging, merge_target: "prep-golden", tasks };
    await expect(rig.ask(OPERATIONS.runSwarmTasks, target, asking)).rejects.toMatchObject(foreign);
    expect(await rig.names()).toEqual(["own", "prep-golden"]);
  });

  test("a target and a golden that were taken over meanwhile are left alone", async () => {
    await using made = await rigOf(5);
    const { rig } = made;
    const [begun, go] = [join(rig.home, "begun"), join(rig.home, "go")];
    const command = `touch '${begun}'; until [ -e '${go}' ]; do sleep 0.02; done; echo x > x.txt`;
    const input = { ...golden, ...merging, tasks: [{ name: "slow", command }] };
    const running = rig.ask(OPERATIONS.runSwarmTasks, input, asking);
    await eventually("it runs", () => existsSync(begun));
    const taker = { session: sessionOf("s-two") };
    openSessionBook(join(rig.home, "sessions"), systemClock)
      .open({ id: "s-two", transport: "stdio", leaseMs: 60_000 })
      .heartbeat();
    await rig.ask(OPERATIONS.toolWorkspaceAdopt, { workspace_id: "own" }, taker);
    await rig.say("own", `touch '${go}'`);
    const report = await running;
    expect(report.summary).toMatchObject({ succeeded: 1, workers_kept: 1 });
    expect(report.merge?.message).toMatch(/not this session's/);
    expect(await rig.say("own", "ls")).toBe("data");
  });
});
