import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeSandbox, type CliResult, type Sandbox } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { expectWhole, landedTasks, SHELL_AGENT } from "../support/shell-agent.ts";
import {
  canMountSmallDisk,
  mountSmallDisk,
  SMALL_DISK_HOW_TO,
  type SmallDisk,
} from "../support/small-disk.ts";

const isSkipped = process.env["MYCELIUM_REQUIRE_ALL"] === undefined && !(await canMountSmallDisk());

const MEGABYTES = 12;

/** A sandbox whose home is on a small disk of its own. */
interface SmallHome extends AsyncDisposable {
  readonly sandbox: Sandbox;
  readonly disk: SmallDisk;
  mycelium(...args: readonly string[]): Promise<CliResult>;
  /** `status --json`, which needs no space. */
  status(): Promise<Record<string, unknown>>;
}

async function makeSmallHome(): Promise<SmallHome> {
  const sandbox = await makeSandbox();
  const disk = await mountSmallDisk(sandbox.home, MEGABYTES);
  if (disk === null) throw new Error(SMALL_DISK_HOW_TO);
  const goThere = ["sh", "-c", 'cd "$0" && exec "$@"', sandbox.repository.path] as const;
  const within = [...disk.within, ...goThere] as const;
  return {
    sandbox,
    disk,
    mycelium: (...args) => sandbox.mycelium(args, { within }),
    status: () => sandbox.json(["status"], { within }),
    [Symbol.asyncDispose]: async () => {
      await disk[Symbol.asyncDispose]();
      await sandbox[Symbol.asyncDispose]();
    },
  };
}

const task = (id: string, script: string): { id: string; spec: string; files: object } => ({
  id,
  spec: `${script}\n`,
  files: { writes: [`${id}.txt`] },
});

const TASKS = [task("one", "echo done > one.txt"), task("two", "echo done > two.txt")] as const;

/** Failed as it should, with everything that landed recorded, and nothing half done. */
async function expectClearFailure(home: SmallHome, run: CliResult): Promise<void> {
  expect(run, run.stderr).toMatchObject({ code: 1, signal: null });
  expect(run.stdout + run.stderr).toMatch(/disk is full|no space left|could not be written/i);
  expect(run.stdout + run.stderr).toMatch(/free some space|make room/i);
  expect(run.stderr).not.toContain("    at ");
  expect(run.stderr).not.toContain("defect of mycelium");
  await expectWhole(home.sandbox);
}

async function expectResumed(home: SmallHome): Promise<void> {
  const resumed = await home.mycelium("resume");
  expect(resumed, resumed.stderr).toMatchObject({ code: 0 });
  expect(await landedTasks(home.sandbox)).toEqual(["one", "two"]);
  expect(await home.status()).toMatchObject({ status: "complete", counts: { complete: 2 } });
  expect(await home.sandbox.repository.git("for-each-ref", "refs/mycelium/runs")).toBe("");
  const log = await home.disk.run('tail -n 1 "$0/runs/r1/orchestrator.jsonl"');
  expect(JSON.parse(log)).toMatchObject({ type: "run.completed" });
  const state = await home.disk.run('cat "$0/runs/r1/state.json"');
  expect(JSON.parse(state)).toMatchObject({ status: "complete" });
  await expectWhole(home.sandbox);
}

describe.skipIf(isSkipped)(`a full disk below the home (${SMALL_DISK_HOW_TO})`, () => {
  it("from the start is refused, and nothing has happened", async () => {
    await using home = await makeSmallHome();
    await home.sandbox.configure(SHELL_AGENT);
    await home.sandbox.tasks(TASKS);
    const before = await home.sandbox.tip();
    await home.disk.fill();
    const run = await home.mycelium("run", "--run-id", "r1");
    await expectClearFailure(home, run);
    expect(await home.sandbox.tip()).toBe(before);
    await home.disk.free();
    expect(await home.mycelium("run", "--run-id", "r1")).toMatchObject({ code: 0 });
    expect(await landedTasks(home.sandbox)).toEqual(["one", "two"]);
  });

  it("during an agent's work stops the run, and it is gone on with", async () => {
    await using home = await makeSmallHome();
    const { folder } = home.sandbox.repository;
    const [reached, opened] = [join(folder, "reached"), join(folder, "opened")];
    const wait = `touch ${reached}; until [ -e ${opened} ]; do sleep 0.02; done`;
    await home.sandbox.configure(SHELL_AGENT);
    await home.sandbox.tasks([task("one", `${wait}; echo done > one.txt`), TASKS[1]]);
    const running = home.mycelium("run", "--run-id", "r1");
    await eventually("the agent waits", () => existsSync(reached));
    await home.disk.fill();
    await writeFile(opened, "");
    await expectClearFailure(home, await running);
    await home.disk.free();
    await expectResumed(home);
  });

  it("by an agent's own files stops the run, and it is gone on with", async () => {
    await using home = await makeSmallHome();
    const flag = join(home.sandbox.repository.folder, "flag");
    const greedy = `if [ ! -e ${flag} ]; then touch ${flag}; cat /dev/zero > big; fi; echo done > one.txt`;
    await home.sandbox.configure({ ...SHELL_AGENT, max_parallel: 1 });
    await home.sandbox.tasks([task("one", greedy), TASKS[1]]);
    await expectClearFailure(home, await home.mycelium("run", "--run-id", "r1"));
    await home.disk.run('rm "$0"/workspaces/*/repository/big');
    await expectResumed(home);
  });

  it("while a candidate is proved stops the run, and it is gone on with", async () => {
    await using home = await makeSmallHome();
    const flag = join(home.sandbox.repository.folder, "flag");
    const fill = `if [ ! -e ${flag} ]; then touch ${flag}; cat /dev/zero > "$HOME/../mycelium-home/ballast"; fi`;
    const doctor = `case "$PWD" in */r1._landing/*) ${fill};; esac; test -f README.md`;
    await home.sandbox.configure({ ...SHELL_AGENT, doctor });
    await home.sandbox.tasks(TASKS);
    await expectClearFailure(home, await home.mycelium("run", "--run-id", "r1"));
    await home.disk.free();
    await expectResumed(home);
  });

  it("is told by commands that only look, which need a little space too", async () => {
    await using home = await makeSmallHome();
    await home.sandbox.configure(SHELL_AGENT);
    await home.sandbox.tasks(TASKS);
    expect(await home.mycelium("run", "--run-id", "r1")).toMatchObject({ code: 0 });
    await home.disk.fill();
    for (const command of [["status"], ["logs", "timeline"], ["clean", "--force"]]) {
      await expectClearFailure(home, await home.mycelium(...command));
    }
    await home.disk.free();
    expect(await home.status()).toMatchObject({ status: "complete" });
    expect(await home.mycelium("clean", "--force")).toMatchObject({ code: 0 });
  });
});

describe.skipIf(isSkipped)(`a full disk below the repository (${SMALL_DISK_HOW_TO})`, () => {
  it("stops the run with nothing half landed, and it is gone on with", async () => {
    await using sandbox = await makeSandbox();
    const small = join(sandbox.repository.folder, "small");
    await using disk = await mountSmallDisk(small, MEGABYTES);
    if (disk === null) throw new Error(SMALL_DISK_HOW_TO);
    const flag = join(sandbox.repository.folder, "flag");
    const fill = `if [ ! -e ${flag} ]; then touch ${flag}; cat /dev/zero > ${small}/ballast; fi`;
    const doctor = `case "$PWD" in */r1._landing/*) ${fill};; esac; test -f README.md`;
    await sandbox.configure({ ...SHELL_AGENT, doctor });
    await sandbox.tasks(TASKS);
    const { path } = sandbox.repository;
    await disk.run(`git clone -q ${path} "$0/repo" && cp -r ${path}/.mycelium "$0/repo"`);
    const git = (args: string): Promise<string> => disk.run(`git -C "$0/repo" ${args}`);
    const before = await git("rev-parse main");
    const within = [...disk.within, "sh", "-c", 'cd "$0" && exec "$@"', `${small}/repo`] as const;

    const run = await sandbox.mycelium(["run", "--run-id", "r1"], { within });
    expect(run, run.stderr).toMatchObject({ code: 1 });
    expect(run.stdout + run.stderr).toMatch(/no space left/i);
    expect(sandbox.state("r1")).toMatchObject({ status: "failed", stop_reason: "disk-full" });
    expect(await git("rev-parse main")).toBe(before);
    await git("fsck --full --strict --no-dangling");
    await disk.free();

    const resumed = await sandbox.mycelium(["resume"], { within });
    expect(resumed, resumed.stderr).toMatchObject({ code: 0 });
    expect((await git("log --format=%s main")).split("\n").toSorted()).toMatchObject([
      "",
      "Task one",
      "Task two",
      "base",
    ]);
    expect(await git("status --porcelain --untracked-files=no")).toBe("");
    await git("fsck --full --strict --no-dangling");
  });
});
