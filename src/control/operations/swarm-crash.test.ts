import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventually } from "../../../test/support/eventually.ts";
import { swarmRig, swarmUntilKilled, type SwarmRig } from "../../../test/support/swarm-rig.ts";
import { OPERATIONS } from "../operations.ts";

const adding = (name: string) => ({
  name,
  command: `echo ${name} > ${name}.txt && git add . && git commit -q -m 'add ${name}'`,
});

const request = {
  golden_workspace: "prep-golden",
  snapshot: "golden",
  merge_strategy: "sequential",
  merge_target: "prep-golden",
  max_parallel: 2,
  shared_context: "known to all",
  tasks: [adding("m1"), adding("m2"), adding("m3")],
};

async function theSwarm(rig: SwarmRig): Promise<{ readonly swarm_id: string }> {
  const { swarms } = await rig.ask(OPERATIONS.listSwarmRuns, {});
  expect(swarms).toHaveLength(1);
  return { swarm_id: swarms[0]?.swarm_id ?? "" };
}

/** Everything landed once, and nothing is left but the golden. */
async function expectWhole(rig: SwarmRig): Promise<void> {
  expect(await rig.say("prep-golden", "cat m1.txt m2.txt m3.txt; git status --porcelain")).toBe(
    "m1\nm2\nm3",
  );
  const log = await rig.say("prep-golden", "git log --format=%s | sort");
  expect(log).toBe("add m1\nadd m2\nadd m3\ninit");
  expect(await rig.names()).toEqual(["prep-golden"]);
  expect(existsSync(join(rig.home, "rescued"))).toBe(false);
  expect(await readdir(join(rig.home, "merging"))).toEqual([]);
}

const POINTS = [
  "swarm.recorded",
  "swarm.task-recorded",
  "kept.claimed",
  "fork.copied",
  "swarm.worker-made:3",
  "swarm.task-running:2",
  "swarm.task-ended:2",
  "swarm.task-settled:3",
  "merge.intended",
  "merge.landed",
  "swarm.merged",
  "swarm.worker-destroyed:2",
] as const;

describe("a swarm whose process is killed", () => {
  test.each(POINTS)("at %s is gone on with: nothing is lost, doubled or left", async (crashAt) => {
    await using rig = await swarmRig();
    const doing = { home: rig.home, crashAt, operation: "runSwarmTasks", input: request } as const;
    expect(await swarmUntilKilled(doing)).toBe("SIGKILL");
    const id = await theSwarm(rig);
    expect(await rig.ask(OPERATIONS.swarmStatus, id)).toMatchObject({ state: "interrupted" });
    const report = await rig.ask(OPERATIONS.resumeSwarmRun, id);
    expect(report).toMatchObject({
      state: "complete",
      merge: { outcome: "landed", total_commits_applied: 3 },
      summary: { succeeded: 3, workers_destroyed: 3, workers_kept: 0 },
    });
    await expectWhole(rig);
  });

  test("twice, the second time by whoever went on, ends the same", async () => {
    await using rig = await swarmRig();
    const { home } = rig;
    const first = { home, crashAt: "swarm.task-ended", operation: "runSwarmTasks" } as const;
    expect(await swarmUntilKilled({ ...first, input: request })).toBe("SIGKILL");
    const input = await theSwarm(rig);
    const second = { home, crashAt: "merge.landed", operation: "resumeSwarmRun", input } as const;
    expect(await swarmUntilKilled(second)).toBe("SIGKILL");
    expect(await rig.ask(OPERATIONS.resumeSwarmRun, input)).toMatchObject({ state: "complete" });
    await expectWhole(rig);
  });

  test.each(["swarm.task-running:2", "merge.intended"])(
    "at %s can be cancelled: its work is saved and nothing is left",
    async (crashAt) => {
      await using rig = await swarmRig();
      const { home } = rig;
      const doing = { home, crashAt, operation: "runSwarmTasks", input: request } as const;
      expect(await swarmUntilKilled(doing)).toBe("SIGKILL");
      const report = await rig.ask(OPERATIONS.cancelSwarmRun, await theSwarm(rig));
      expect(report).toMatchObject({ state: "cancelled", merge: null });
      expect(await rig.names()).toEqual(["prep-golden"]);
      const done = report.tasks.filter(({ state }) => state === "succeeded");
      for (const { rescued } of done) expect(await readdir(rescued ?? "")).toContain("note.json");
      expect(await rig.say("prep-golden", "ls")).toBe("data");
    },
  );

  test("leaves no process: what ran goes when it is gone on with", async () => {
    await using rig = await swarmRig();
    const pidFile = join(rig.home, "pid");
    const task = `if [ -e '${pidFile}' ]; then exit 0; fi; echo $$ > '${pidFile}'; exec sleep 600`;
    const tasks = [
      { name: "long", command: task },
      { name: "short", command: `until [ -s '${pidFile}' ]; do sleep 0.02; done` },
    ];
    const input = { ...request, tasks };
    const crashAt = "swarm.task-ended";
    const doing = { home: rig.home, crashAt, operation: "runSwarmTasks", input } as const;
    expect(await swarmUntilKilled(doing)).toBe("SIGKILL");
    const pid = await rig.say("prep-golden", `cat '${pidFile}'`);
    const isAlive = () => existsSync(`/proc/${pid}/cwd`);
    expect(isAlive()).toBe(true);
    const report = await rig.ask(OPERATIONS.resumeSwarmRun, await theSwarm(rig));
    expect(report.summary).toMatchObject({ succeeded: 2 });
    await eventually("it is gone", () => !isAlive());
  });
});
