import { existsSync } from "node:fs";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeGitRepository, type TestRepository } from "../../test/support/git-repository.ts";
import {
  makeTestHome,
  recordRun,
  type RecordedRun,
  type TestHome,
} from "../../test/support/recorded-run.ts";
import { createLocalProvider } from "../workspaces/local.ts";
import type { WorkspaceProvider } from "../workspaces/workspace.ts";
import { cleanReportSchema, type CleanReport } from "./clean-report.ts";
import { cleanRuns, type CleanRequest } from "./clean.ts";
import { openJournalFiles } from "./journal-files.ts";
import { withRepository } from "./lease-keeper.ts";

let home: TestHome;
let repository: TestRepository;
let provider: WorkspaceProvider;
let run: RecordedRun;

beforeEach(async () => {
  home = await makeTestHome();
  repository = await makeGitRepository();
  provider = createLocalProvider({ root: join(home.path, "workspaces") });
  run = await record("run-1");
});
afterEach(async () => {
  await repository[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});

async function record(runId: string): Promise<RecordedRun> {
  const tasks = [{ id: "1" }, { id: "2" }];
  return recordRun(home, { runId, repository: gitDir(), base: repository.base, tasks });
}

const gitDir = () => join(repository.path, ".git");
const logs = (runId = "run-1") => join(home.path, "runs", runId);
const workspace = (id: string) => join(home.path, "workspaces", id);

async function clean(changes: Partial<CleanRequest> = {}): Promise<CleanReport> {
  const report = await cleanRuns({
    store: home.store,
    home: home.path,
    keepLogs: false,
    dryRun: false,
    force: false,
    provider,
    workEnv: { PATH: repository.env["PATH"] ?? "" },
    removeRefs: async ({ prefix, dryRun }) => {
      await using opened = await repository.open();
      const refs = (await opened.listRefs(prefix)).map(({ ref }) => ref);
      if (!dryRun) await opened.deleteRefs(refs);
      return refs;
    },
    ...changes,
  });
  return cleanReportSchema.parse(report);
}

/** What the hive leaves: a workspace, a ref, and logs. */
async function leaveThings(runId: string, taskId = "1"): Promise<string> {
  const id = `${runId}.${taskId}.1`;
  const seed = {
    gitDir: gitDir(),
    objectFormat: "sha1",
    commit: repository.base,
    branch: "task/1",
  } as const;
  const made = await provider.create({ id, seed, env: {} });
  expect(made.ok).toBe(true);
  await repository.git("update-ref", `refs/mycelium/runs/${runId}/${taskId}`, repository.base);
  await (await openJournalFiles({ store: home.store, home: home.path, runId })).close();
  return id;
}

async function rowCounts(): Promise<number[]> {
  const tables = ["runs", "tasks", "attempts", "events", "landings", "landing_commits"] as const;
  return Promise.all(
    tables.map(
      async (table) => (await home.store.tables.selectFrom(table).selectAll().execute()).length,
    ),
  );
}

async function completeRun(): Promise<void> {
  await run.attempt("1");
  await run.attempt("2");
  await run.land(["1", "2"]);
  await run.complete();
}

test("everything that a complete run left is removed, and named with its size", async () => {
  await completeRun();
  const id = await leaveThings("run-1");
  const report = await clean();
  expect(report.runs).toMatchObject([
    {
      run_id: "run-1",
      status: "complete",
      workspaces: [{ id }],
      refs: ["refs/mycelium/runs/run-1/1"],
      logs: { path: logs() },
      losses: [],
    },
  ]);
  expect(report.runs[0]?.workspaces[0]?.bytes).toBeGreaterThan(100);
  expect(report.bytes).toBeGreaterThan(report.runs[0]?.logs?.bytes ?? 0);
  expect(existsSync(workspace(id))).toBe(false);
  expect(existsSync(logs())).toBe(false);
  expect(await repository.git("for-each-ref", "refs/mycelium")).toBe("");
  expect(await rowCounts()).toEqual([0, 0, 0, 0, 0, 0]);
});

test("a dry run names the same things and changes nothing", async () => {
  await completeRun();
  const id = await leaveThings("run-1");
  const before = await rowCounts();
  const foretold = await clean({ dryRun: true });
  expect(existsSync(workspace(id))).toBe(true);
  expect(existsSync(logs())).toBe(true);
  expect(await repository.git("for-each-ref", "refs/mycelium")).not.toBe("");
  expect(await rowCounts()).toEqual(before);
  expect({ ...(await clean()), dry_run: true }).toEqual(foretold);
});

test("only the run that is named is removed, even where another's name begins with its own", async () => {
  await record("run-10");
  await completeRun();
  const other = await leaveThings("run-10");
  await leaveThings("run-1");
  await clean({ runId: "run-1" });
  expect(existsSync(workspace(other))).toBe(true);
  expect(existsSync(logs("run-10"))).toBe(true);
  expect(await repository.git("for-each-ref", "--format=%(refname)", "refs/mycelium")).toBe(
    "refs/mycelium/runs/run-10/1",
  );
  expect((await rowCounts())[0]).toBe(1);
});

test("kept logs are brought up to date before the rows go, and can be removed later", async () => {
  await completeRun();
  await clean({ keepLogs: true });
  const lines = (await readFile(join(logs(), "orchestrator.jsonl"), "utf8")).trimEnd().split("\n");
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ type: "run.completed" });
  expect(await rowCounts()).toEqual([0, 0, 0, 0, 0, 0]);
  expect((await clean({ keepLogs: true })).runs).toEqual([]);
  expect(await clean({ runId: "run-1" })).toMatchObject({ runs: [{ status: null }] });
  expect(existsSync(logs())).toBe(false);
});

test("a run that a process works on is left alone, forced or not", async () => {
  await run.attempt("1");
  await withRepository(home.store, gitDir(), "run run-1", async () => {
    await expect(clean({ runId: "run-1", force: true })).rejects.toMatchObject({
      failure: {
        code: "repository-busy",
        hint: expect.stringContaining(`${process.pid}`) as string,
      },
    });
    expect(await clean({ force: true })).toMatchObject({
      runs: [],
      refused: [{ run_id: "run-1" }],
    });
  });
  expect((await rowCounts())[0]).toBe(1);
});

test("while another run has the repository, an old one can be removed", async () => {
  await completeRun();
  await withRepository(home.store, gitDir(), "run run-2", async () => {
    expect(await clean()).toMatchObject({ runs: [{ run_id: "run-1" }] });
  });
});

test("work that passed its gates and has not landed is kept until it is forced", async () => {
  await run.attempt("1");
  await run.stop("interrupted", "stopped by SIGINT");
  await leaveThings("run-1", "2");
  await expect(clean({ runId: "run-1" })).rejects.toMatchObject({
    failure: {
      code: "confirmation-needed",
      message: expect.stringContaining("task 1 passed its gates and has not landed") as string,
      hint: expect.stringContaining("--force") as string,
    },
  });
  expect(await clean()).toMatchObject({ runs: [], refused: [{ run_id: "run-1" }] });
  expect((await rowCounts())[0]).toBe(1);
  expect(await clean({ force: true })).toMatchObject({
    runs: [{ losses: ["task 1 passed its gates and has not landed"] }],
  });
  expect(await rowCounts()).toEqual([0, 0, 0, 0, 0, 0]);
});

const untouched = async () => undefined;
const edit = (repositoryDir: string) => writeFile(join(repositoryDir, "new.txt"), "work");
const commit = async (repositoryDir: string) => {
  await edit(repositoryDir);
  await repository.gitIn(repositoryDir, ["add", "-A"]);
  await repository.gitIn(repositoryDir, ["commit", "--quiet", "-m", "work"]);
};
const breakGit = (repositoryDir: string) => rm(join(repositoryDir, ".git"), { recursive: true });

test.each([
  ["nothing new", untouched, true],
  ["a file that is not committed", edit, false],
  ["a commit", commit, false],
  ["a repository that cannot be read", breakGit, false],
])("the workspace of a failed task with %s", async (_name, change, isRemovable) => {
  await run.attempt("1", { rejected: "doctor-failed", then: "fail" });
  await run.stop("task-failed", "1 task did not land");
  const id = await leaveThings("run-1");
  await change(join(workspace(id), "repository"));
  const report = await clean();
  expect(existsSync(workspace(id))).toBe(!isRemovable);
  expect(report.refused.flatMap(({ reasons }) => reasons)).toEqual(
    isRemovable ? [] : [`workspace ${id} holds work of task 1, which is failed`],
  );
});

test("looking for work runs nothing of the worker's and leaves its repository as it is", async () => {
  await run.attempt("1", { rejected: "doctor-failed", then: "fail" });
  const id = await leaveThings("run-1");
  const repositoryDir = join(workspace(id), "repository");
  const trap = join(home.path, "trap");
  await writeFile(trap, `#!/bin/sh\ntouch ${home.path}/sprung\n`, { mode: 0o755 });
  await repository.gitIn(repositoryDir, ["config", "core.fsmonitor", trap]);
  await edit(repositoryDir);
  expect((await clean()).refused).toHaveLength(1);
  expect(existsSync(join(home.path, "sprung"))).toBe(false);
});

test("a run that is not there, or whose name leads elsewhere, is refused", async () => {
  await expect(clean({ runId: "nope" })).rejects.toMatchObject({
    failure: { code: "run-missing" },
  });
  for (const runId of ["..", "../..", "", "/"]) {
    await expect(clean({ runId, force: true }), runId).rejects.toMatchObject({
      failure: { code: "usage" },
    });
  }
  expect((await rowCounts())[0]).toBe(1);
});

test("a folder of runs that is a link to elsewhere is not touched", async () => {
  await completeRun();
  const elsewhere = join(repository.folder, "elsewhere");
  await mkdir(join(elsewhere, "run-1"), { recursive: true });
  await writeFile(join(elsewhere, "run-1", "precious"), "1");
  await symlink(elsewhere, join(home.path, "runs"));
  await expect(clean()).rejects.toMatchObject({ failure: { code: "usage" } });
  expect(existsSync(join(elsewhere, "run-1", "precious"))).toBe(true);
});

test("a run's folder that is a link is removed, what it leads to stays", async () => {
  await completeRun();
  await mkdir(join(home.path, "runs"));
  await symlink(repository.path, logs());
  await clean();
  expect(existsSync(logs())).toBe(false);
  expect(existsSync(join(repository.path, "README.md"))).toBe(true);
});

test("cleaning that was interrupted after the workspaces can be repeated", async () => {
  await completeRun();
  const id = await leaveThings("run-1");
  const removeRefs = () => Promise.reject(new Error("the power is gone"));
  await expect(clean({ removeRefs })).rejects.toThrow("the power is gone");
  expect(existsSync(workspace(id))).toBe(false);
  expect(await clean()).toMatchObject({ runs: [{ run_id: "run-1", workspaces: [] }] });
  expect((await rowCounts())[0]).toBe(0);
});
