import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventually } from "../../../test/support/eventually.ts";
import { swarmRig, type SwarmRig } from "../../../test/support/swarm-rig.ts";
import { OPERATIONS } from "../operations.ts";

const golden = { golden_workspace: "prep-golden", snapshot: "golden" } as const;
const merging = { merge_strategy: "sequential", merge_target: "prep-golden" } as const;

const adding = (name: string, file: string) => ({
  name,
  command: `echo ${name} > ${file} && git add . && git commit -q -m 'add ${file}'`,
});

const none = async (rig: SwarmRig): Promise<void> => {
  expect(await rig.names()).toEqual(["prep-golden"]);
};

describe("a swarm", () => {
  test("gives each worker both contexts, and destroys all of them", async () => {
    await using rig = await swarmRig();
    const content = "# API Spec\nEndpoint: /health\nMethod: GET";
    await rig.ask(OPERATIONS.vault, { action: "write", path: "swarm-test/api-spec.md", content });
    const told: string[] = [];
    const report = await rig.ask(
      OPERATIONS.runSwarmTasks,
      {
        ...golden,
        tasks: ["t1", "t2", "t3"].map((name) => ({ name, command: "cat context.md" })),
        shared_context: "swarm test context",
        vault_context: [{ kind: "read", query: "swarm-test/api-spec.md" }],
        cleanup: true,
      },
      { onProgress: (done, total) => told.push(`${done}/${total}`) },
    );
    expect(report).toMatchObject({
      state: "complete",
      success: true,
      merge: null,
      summary: { total_tasks: 3, succeeded: 3, failed: 0, workers_destroyed: 3, workers_kept: 0 },
    });
    expect(report.tasks.map(({ name }) => name)).toEqual(["t1", "t2", "t3"]);
    for (const { stdout, exit_code } of report.tasks) {
      expect(exit_code).toBe(0);
      expect(stdout).toContain("swarm test context");
      expect(stdout).toContain("API Spec");
    }
    expect(told).toEqual(["0/3", "1/3", "2/3", "3/3"]);
    await none(rig);
    const found = await rig.ask(OPERATIONS.runSwarmTasks, {
      ...golden,
      tasks: [{ name: "t1", command: 'cat "$MYCELIUM_CONTEXT_FILE"; git status --porcelain' }],
      vault_context: [{ query: "health endpoint" }],
    });
    expect(found.tasks[0]?.stdout.trimEnd()).toBe(`# Vault: swarm-test/api-spec.md\n\n${content}`);
    expect(existsSync(join(rig.home, "rescued"))).toBe(false);
  });

  test("brings what all succeeded in into the target, committed or not", async () => {
    await using rig = await swarmRig();
    const report = await rig.ask(OPERATIONS.runSwarmTasks, {
      ...golden,
      ...merging,
      shared_context: "nothing of this is committed",
      env_vars: { COLOUR: "blue", WORD: "all" },
      tasks: [
        adding("m1", "file1.txt"),
        adding("m2", "file2.txt"),
        { name: "m3", command: "echo $COLOUR $WORD > file3.txt", env: { WORD: "own" } },
        { name: "m4", command: "pwd > ../where.txt; exit 0", workdir: "data" },
      ],
    });
    expect(report).toMatchObject({
      success: true,
      summary: { succeeded: 4, workers_destroyed: 4 },
      merge: { success: true, outcome: "landed", total_commits_applied: 4 },
    });
    expect(await rig.say("prep-golden", "cat file1.txt file2.txt file3.txt")).toBe(
      "m1\nm2\nblue own",
    );
    expect(await rig.say("prep-golden", "ls; git status --porcelain")).toBe(
      "data\nfile1.txt\nfile2.txt\nfile3.txt\nwhere.txt",
    );
    expect(await rig.say("prep-golden", "git log --format=%an -- file3.txt")).toBe("m3");
    await none(rig);
  });

  test("answers what failed beside what did not, and saves the work of both", async () => {
    await using rig = await swarmRig();
    const report = await rig.ask(OPERATIONS.runSwarmTasks, {
      ...golden,
      ...merging,
      timeout_secs: 1,
      max_parallel: 2,
      max_output_bytes: 10,
      tasks: [
        adding("good", "good.txt"),
        { name: "bad", command: "echo half > half.txt; echo 1234567890; echo why >&2; exit 3" },
        { name: "slow", command: "sleep 60" },
      ],
    });
    expect(report).toMatchObject({
      state: "failed",
      message: "2 of 3 tasks failed",
      merge: { outcome: "landed", merged_sources: ["good"] },
      summary: { succeeded: 1, failed: 2, workers_destroyed: 3 },
      tasks: [
        { success: true, merged: true },
        { exit_code: 3, stdout: "234567890\n", stderr: "why\n", truncated_bytes: 1, merged: false },
        { exit_code: null, timed_out: true },
      ],
    });
    const rescued = report.tasks[1]?.rescued ?? "";
    expect(await readdir(rescued)).toContain("note.json");
    expect(report.tasks[2]?.rescued).toBeNull();
    expect(await rig.say("prep-golden", "ls")).toBe("data\ngood.txt");
    await none(rig);
  });

  test("keeps the workers that conflict, and lands them once the way is free", async () => {
    await using rig = await swarmRig();
    const clash = (name: string) => ({ name, command: `echo ${name} > same.txt` });
    const report = await rig.ask(OPERATIONS.runSwarmTasks, {
      ...golden,
      ...merging,
      tasks: [clash("a"), clash("b")],
    });
    expect(report).toMatchObject({
      state: "failed",
      merge: {
        success: false,
        outcome: "conflicts",
        total_commits_applied: 0,
        sources: [{}, { conflicts: [{ path: "same.txt", kind: "add/add", against: ["a"] }] }],
      },
      summary: { succeeded: 2, workers_destroyed: 0, workers_kept: 2 },
    });
    expect(await rig.say("prep-golden", "ls")).toBe("data");
    const [, b] = report.tasks;
    await rig.say(b?.workspace_id ?? "", "git mv same.txt other.txt && git commit -qm moved");
    const input = { swarm_id: report.swarm_id };
    const resumed = await rig.ask(OPERATIONS.resumeSwarmRun, input);
    expect(resumed).toMatchObject({ state: "complete", merge: { outcome: "landed" } });
    expect(resumed.summary).toMatchObject({ workers_destroyed: 2, workers_kept: 0 });
    expect(await rig.say("prep-golden", "cat same.txt other.txt")).toBe("a\nb");
    await none(rig);
    expect(await rig.ask(OPERATIONS.resumeSwarmRun, input)).toEqual(resumed);
    expect(await rig.ask(OPERATIONS.swarmStatus, input)).toEqual(resumed);
  });

  test("does failed tasks again in new workers, and nothing else", async () => {
    await using rig = await swarmRig();
    const flag = join(rig.home, "may-pass");
    const report = await rig.ask(OPERATIONS.runSwarmTasks, {
      ...golden,
      ...merging,
      tasks: [
        adding("first", "first.txt"),
        { name: "later", command: `[ -e '${flag}' ] && echo later > later.txt` },
      ],
    });
    expect(report.summary).toMatchObject({ succeeded: 1, failed: 1 });
    await rig.say("prep-golden", `touch '${flag}'`);
    const again = await rig.ask(OPERATIONS.retrySwarmRun, { swarm_id: report.swarm_id });
    expect(again).toMatchObject({
      state: "complete",
      tasks: [
        { attempt: 1, merged: true },
        { attempt: 2, merged: true },
      ],
    });
    expect(await rig.say("prep-golden", "git log --format=%s")).toMatch(
      /^later\nadd first.txt\ninit$/,
    );
    await none(rig);
    await expect(
      rig.ask(OPERATIONS.retrySwarmRun, { swarm_id: report.swarm_id }),
    ).rejects.toMatchObject({ failure: { code: "swarm-refused" } });
  });

  test("that is cancelled ends at once, merges nothing and leaves nothing", async () => {
    await using rig = await swarmRig();
    const go = join(rig.home, "begun");
    const running = rig.ask(OPERATIONS.runSwarmTasks, {
      ...golden,
      ...merging,
      max_parallel: 2,
      tasks: [
        adding("done", "done.txt"),
        { name: "long", command: `echo x > part.txt; touch '${go}'; sleep 600` },
        { name: "other", command: "sleep 600" },
        { name: "never", command: "true" },
      ],
    });
    await eventually("it runs", () => existsSync(go));
    const list = await rig.ask(OPERATIONS.listSwarmRuns, {});
    expect(list.swarms).toMatchObject([{ state: "running", tasks: 4 }]);
    const input = { swarm_id: list.swarms[0]?.swarm_id ?? "" };
    const status = await rig.ask(OPERATIONS.swarmStatus, input);
    expect(status).toMatchObject({ state: "running", tasks: [{}, { state: "running" }, {}, {}] });
    await expect(rig.ask(OPERATIONS.resumeSwarmRun, input)).rejects.toMatchObject({
      failure: { code: "swarm-refused", message: expect.stringContaining("another process") },
    });
    const cancelled = await rig.ask(OPERATIONS.cancelSwarmRun, input);
    expect(cancelled).toMatchObject({
      state: "cancelled",
      merge: null,
      tasks: [{}, { state: "cancelled" }, { state: "cancelled" }, { state: "cancelled" }],
    });
    expect(await running).toEqual(cancelled);
    expect(await readdir(cancelled.tasks[1]?.rescued ?? "")).toContain("repository.tar");
    expect(await rig.say("prep-golden", "ls")).toBe("data");
    await none(rig);
  });

  test("that is interrupted can be gone on with", async () => {
    await using rig = await swarmRig();
    const go = join(rig.home, "begun");
    const stop = new AbortController();
    const running = rig.ask(
      OPERATIONS.runSwarmTasks,
      {
        ...golden,
        ...merging,
        max_parallel: 1,
        tasks: [
          adding("a", "a.txt"),
          { name: "b", command: `[ -e '${go}' ] || { touch '${go}'; sleep 600; }; echo b > b.txt` },
        ],
      },
      { signal: stop.signal },
    );
    await eventually("it runs", () => existsSync(go));
    stop.abort("SIGINT");
    const half = await running;
    expect(half).toMatchObject({
      state: "interrupted",
      tasks: [{ state: "succeeded" }, { state: "pending" }],
    });
    const whole = await rig.ask(OPERATIONS.resumeSwarmRun, { swarm_id: half.swarm_id });
    expect(whole).toMatchObject({
      state: "complete",
      tasks: [{ attempt: 1 }, { attempt: 2 }],
      merge: { total_commits_applied: 2 },
    });
    expect(await rig.say("prep-golden", "cat a.txt b.txt")).toBe("a\nb");
    await none(rig);
  });

  test("stays with its workers where no clean-up is wanted", async () => {
    await using rig = await swarmRig();
    const report = await rig.ask(OPERATIONS.runSwarmTasks, {
      ...golden,
      cleanup: false,
      tasks: [{ name: "a", command: "echo a > a.txt" }],
    });
    const worker = report.tasks[0]?.workspace_id ?? "";
    expect(report.summary).toMatchObject({ workers_destroyed: 0, workers_kept: 1 });
    expect(await rig.say(worker, "cat a.txt")).toBe("a");
    const info = await rig.ask(OPERATIONS.workspaceInfo, { name: worker });
    expect(info.owner).toBe("person");
  });
});

describe("before the first fork", () => {
  const tasks = [{ name: "a", command: "true" }];
  test.each([
    ["duplicate task name", { tasks: [...tasks, ...tasks] }],
    ["must not be empty", { tasks: [] }],
    [
      "max length",
      { tasks: Array.from({ length: 21 }, (_, at) => ({ name: `t${at}`, command: "true" })) },
    ],
    ["too large", { tasks, shared_context: "x".repeat(2 * 1024 * 1024) }],
    ["merge_strategy needs merge_target", { tasks, merge_strategy: "sequential" as const }],
    ["merge_target needs merge_strategy", { tasks, merge_target: "prep-golden" }],
    ["there is no workspace", { tasks, ...merging, merge_target: "nobody" }],
    ["there is no snapshot", { tasks, snapshot: "other" }],
    ["does not exist", { tasks, vault_context: [{ kind: "read" as const, query: "a/b.md" }] }],
    [
      "leads out of the vault",
      { tasks, vault_context: [{ kind: "read" as const, query: "../b.md" }] },
    ],
    ["nothing on", { tasks, vault_context: [{ query: "unheard" }] }],
    ["Mycelium's own", { tasks, env_vars: { MYCELIUM_X: "1" } }],
    [">=1", { tasks, max_parallel: 0 }],
  ])("it is refused: %s", async (message, input) => {
    await using rig = await swarmRig();
    await expect(rig.ask(OPERATIONS.runSwarmTasks, { ...golden, ...input })).rejects.toMatchObject({
      failure: { message: expect.stringContaining(message) },
    });
    await none(rig);
    expect(await rig.ask(OPERATIONS.listSwarmRuns, {})).toEqual({ swarms: [] });
  });

  test("a target is refused that is dirty, has no repository or is another session's", async () => {
    await using rig = await swarmRig();
    const run = (more: object = {}) =>
      rig.ask(OPERATIONS.runSwarmTasks, { ...golden, ...merging, tasks }, more);
    await rig.say("prep-golden", "echo more >> data/flag");
    await expect(run()).rejects.toMatchObject({ failure: { details: { dirty: ["data/flag"] } } });
    await rig.say("prep-golden", "rm -rf .git");
    await expect(run()).rejects.toMatchObject({ failure: { code: "merge-refused" } });
    await expect(run({ session: { kind: "session", id: "one" } })).rejects.toMatchObject({
      failure: { code: "not-owner", message: expect.stringContaining("not this session's") },
    });
  });

  test("a context that would take the place of a tracked file fails the task", async () => {
    await using rig = await swarmRig();
    await rig.say("prep-golden", "echo own > context.md && git add . && git commit -qm own");
    await rig.ask(OPERATIONS.createSnapshot, { name: "prep-golden", snapshot: "own" });
    const report = await rig.ask(OPERATIONS.runSwarmTasks, {
      ...golden,
      snapshot: "own",
      tasks,
      shared_context: "x",
    });
    expect(report.tasks).toMatchObject([
      { success: false, error: expect.stringContaining("is a file of the repository") },
    ]);
    await none(rig);
  });
});

test("workspaces are merged by hand, and first for show", async () => {
  await using rig = await swarmRig();
  const names = ["one", "two"];
  await rig.ask(OPERATIONS.forkSnapshot, { snapshot: "prep-golden@golden", names });
  for (const name of names) {
    await rig.say(name, `echo ${name} > ${name}.txt && git add . && git commit -qm ${name}`);
  }
  const input = { source_workspaces: names, target_workspace: "prep-golden" };
  const dry = await rig.ask(OPERATIONS.mergeWorkspacesInto, { ...input, dry_run: true });
  expect(dry).toMatchObject({ success: true, outcome: "dry-run", total_commits_applied: 0 });
  expect(await rig.say("prep-golden", "ls")).toBe("data");
  const merged = await rig.ask(OPERATIONS.mergeWorkspacesInto, input);
  expect(merged).toMatchObject({ total_commits_applied: 2, merged_sources: names });
  expect(await rig.say("prep-golden", "cat one.txt two.txt")).toBe("one\ntwo");
  const itself = { ...input, source_workspaces: ["one", "prep-golden"] };
  await expect(rig.ask(OPERATIONS.mergeWorkspacesInto, itself)).rejects.toMatchObject({
    failure: { code: "merge-refused" },
  });
  const session = { session: { kind: "session", id: "other" } } as const;
  await expect(rig.ask(OPERATIONS.mergeWorkspacesInto, input, session)).rejects.toMatchObject({
    failure: { message: expect.stringContaining("not this session's") },
  });
});

test("a session sees and touches only its own swarms", async () => {
  await using rig = await swarmRig();
  const one = { session: { kind: "session", id: "one" } } as const;
  const two = { session: { kind: "session", id: "two" } } as const;
  const tasks = [{ name: "a", command: "false" }];
  await rig.ask(OPERATIONS.toolWorkspaceCreate, { name: "ones", kind: "local" }, one);
  const taken = { workspace_id: "ones", action: "create", name: "golden" } as const;
  await rig.ask(OPERATIONS.toolSnapshot, taken, one);
  const own = { golden_workspace: "ones", tasks };
  const { swarm_id } = await rig.ask(OPERATIONS.runSwarmTasks, own, one);
  expect((await rig.ask(OPERATIONS.listSwarmRuns, {}, one)).swarms).toHaveLength(1);
  expect((await rig.ask(OPERATIONS.listSwarmRuns, {}, two)).swarms).toHaveLength(0);
  const { swarmStatus, cancelSwarmRun, resumeSwarmRun, retrySwarmRun } = OPERATIONS;
  for (const operation of [swarmStatus, cancelSwarmRun, resumeSwarmRun, retrySwarmRun]) {
    await expect(rig.ask(operation, { swarm_id }, two)).rejects.toMatchObject({
      failure: { code: "swarm-refused", message: expect.stringContaining("another session") },
    });
  }
});
