import { mkdir, writeFile } from "node:fs/promises";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeSandbox, ofType } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ONE = [{ id: "1", files: { writes: ["one.txt"] } }];

describe("a run is refused, with what to do next,", () => {
  it("outside a git repository", async () => {
    await using sandbox = await makeSandbox();
    await using elsewhere = await temporaryFolder();
    for (const command of [["init"], ["run"], ["plan", "--input", "x.md"]]) {
      const result = await sandbox.mycelium(command, { cwd: elsewhere.path });
      expect(result.code).toBe(2);
      expect(result.stderr).toMatch(/git init|git repository/);
    }
  });

  it("where the integration branch is checked out dirty, and leaves it as it is", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.tasks(ONE);
    await sandbox.repository.write("src/app.txt", "mine\n");
    const before = await sandbox.tip();
    const result = await sandbox.json(["run", "--run-id", "r1"]);
    expect(result).toMatchObject({ ok: false, error: { code: "branch-dirty" } });
    expect(JSON.stringify(result)).toContain("src/app.txt");
    expect(await sandbox.tip()).toBe(before);
    expect(readFileSync(join(sandbox.repository.path, "src/app.txt"), "utf8")).toBe("mine\n");
    expect(existsSync(join(sandbox.home, "runs", "r1"))).toBe(false);
  });

  it("with an unknown key, named with its nearest", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ max_paralel: 3 });
    const result = await sandbox.mycelium(["run"]);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain("max_paralel");
    expect(result.stderr).toContain("max_parallel");
  });

  it("with an unknown option or command", async () => {
    await using sandbox = await makeSandbox();
    for (const command of [["run", "--max-paralel", "3"], ["rnu"]]) {
      const result = await sandbox.mycelium(command);
      expect(result.code).toBe(2);
      expect(result.stderr).not.toContain("    at ");
    }
  });

  it("with a plan that has a cycle, naming its members", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.repository.write("plan.md", "x\n");
    const tasks = [
      { id: "a", name: "A", dependencies: ["b"], spec: "a" },
      { id: "b", name: "B", dependencies: ["a"], spec: "b" },
    ];
    const result = await sandbox.mycelium(["plan", "--input", "plan.md"], {
      env: { MOCK_LLM_OUTPUT: JSON.stringify({ tasks }) },
    });
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(/cycle/);
    expect(existsSync(join(sandbox.repository.path, ".mycelium/tasks/a-a"))).toBe(false);
  });

  it.each([
    "no json at all",
    '{"tasks": 5}',
    '{"tasks": [{"id": "../x", "name": "n", "spec": "s"}]}',
    "{}",
  ])("with a planner that answers %j", async (answer) => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.repository.write("plan.md", "x\n");
    const result = await sandbox.mycelium(["plan", "--input", "plan.md"], {
      env: { MOCK_LLM_OUTPUT: answer },
    });
    expect(result.code).toBeGreaterThanOrEqual(1);
    expect(result.code).toBeLessThanOrEqual(2);
    expect(result.stderr).not.toContain("    at ");
    expect(existsSync(join(sandbox.repository.path, ".mycelium", "x-n"))).toBe(false);
  });

  it("with an agent that nobody described, or one whose program is missing", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ agents: { ghost: { command: "no-such-program-anywhere" } } });
    await sandbox.tasks(ONE);
    const unknown = await sandbox.mycelium(["run", "--agent", "nobody"]);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain("ghost");
    const missing = await sandbox.mycelium(["run", "--run-id", "r1", "--agent", "ghost"]);
    expect(missing.code).toBe(1);
    expect(sandbox.state("r1")).toMatchObject({ status: "failed", stop_reason: "agent-missing" });
    await sandbox.configure({});
    expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 2 });
  });

  it("while another one works on the repository", async () => {
    await using sandbox = await makeSandbox();
    const started = join(sandbox.repository.folder, "started");
    const go = join(sandbox.repository.folder, "go");
    await sandbox.configure({
      agents: {
        command: {
          command: `touch ${started}; while [ ! -e ${go} ]; do sleep 0.05; done; touch one.txt`,
          reports_usage: false,
        },
      },
    });
    await sandbox.tasks(ONE);
    const first = sandbox.mycelium(["run", "--run-id", "r1", "--agent", "command"]);
    await eventually("the first run's agent has started", () => existsSync(started));
    const second = await sandbox.json(["run", "--run-id", "r2", "--agent", "command"]);
    expect(second).toMatchObject({ ok: false, error: { code: "repository-busy" } });
    const resumed = await sandbox.mycelium(["resume", "r1"]);
    expect(resumed.code).toBe(2);
    await writeFile(go, "");
    expect(await first).toMatchObject({ code: 0 });
  });
});

describe("a doctor", () => {
  it("that is missing has not passed: nothing lands, and it is told as such", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ doctor: "no-such-doctor --all" });
    await sandbox.tasks(ONE);
    const before = await sandbox.tip();
    const run = await sandbox.mycelium(["run", "--run-id", "r1"]);
    expect(run.code).toBe(1);
    expect(run.stderr + run.stdout).toContain("no-such-doctor");
    expect(sandbox.state("r1")).toMatchObject({ stop_reason: "gate-could-not-run" });
    const answers = ofType(sandbox.events("r1"), "gate.decided").map(
      ({ payload }) => payload["answer"],
    );
    expect(answers).toContain("could-not-run");
    expect(answers).not.toContain("pass");
    expect(await sandbox.tip()).toBe(before);
    await sandbox.configure({});
    expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
  });

  it("that an agent removed has failed, because it runs on the base", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.repository.write("check.sh", "#!/bin/sh\nexit 0\n");
    await sandbox.repository.git("add", "check.sh");
    await sandbox.repository.git("update-index", "--chmod=+x", "check.sh");
    await sandbox.repository.git("commit", "--quiet", "-m", "check");
    await sandbox.repository.git("checkout", "--quiet", "--", ".");
    await sandbox.configure({
      max_attempts: 1,
      doctor: "./check.sh",
      agents: { command: { command: "rm -f check.sh", reports_usage: false } },
    });
    await sandbox.tasks([{ id: "1", files: { writes: ["check.sh"] } }]);
    expect(await sandbox.mycelium(["run", "--run-id", "r1", "--agent", "command"])).toMatchObject({
      code: 1,
    });
    expect(sandbox.state("r1").tasks[0]).toMatchObject({
      state: "failed",
      reason: "doctor-failed",
    });
  });

  it("that fails on the base as well is told as such, after running it there", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ doctor: "false", max_attempts: 1 });
    await sandbox.tasks(ONE);
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 1 });
    const answers = ofType(sandbox.events("r1"), "gate.decided").map(
      ({ payload }) => payload["answer"],
    );
    expect(answers).toEqual(["fails-on-base-too"]);
    expect(sandbox.state("r1").tasks[0]).toMatchObject({ reason: "base-is-broken" });
  });
});

describe("a leftover lock", () => {
  it("of the branch pauses the run, names the file, and is forgotten once it is gone", async () => {
    await using sandbox = await makeSandbox();
    const { repository } = sandbox;
    await repository.git("checkout", "--quiet", "-b", "elsewhere");
    await sandbox.configure({});
    await sandbox.tasks(ONE);
    const lock = join(repository.path, ".git/refs/heads/main.lock");
    await writeFile(lock, "");
    const run = await sandbox.mycelium(["run", "--run-id", "r1"]);
    expect(run.code).toBe(3);
    expect(run.stderr + run.stdout).toContain("main.lock");
    expect(sandbox.state("r1")).toMatchObject({ status: "paused", stop_reason: "ref-locked" });
    await repository.git("update-ref", "--no-deref", "refs/heads/probe", "HEAD");
    const { rm } = await import("node:fs/promises");
    await rm(lock);
    expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
    expect(sandbox.state("r1").tasks[0]).toMatchObject({ state: "complete", attempts: 1 });
  });

  it("of the checkout's index does so as well", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.tasks(ONE);
    const lock = join(sandbox.repository.path, ".git/index.lock");
    await writeFile(lock, "");
    const run = await sandbox.mycelium(["run", "--run-id", "r1"]);
    expect(run.code).toBe(3);
    expect(run.stderr + run.stdout).toContain("index.lock");
    const { rm } = await import("node:fs/promises");
    await rm(lock);
    expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
    expect(await sandbox.repository.git("status", "--porcelain", "--untracked-files=no")).toBe("");
  });
});

describe("an untracked file in the way", () => {
  it("pauses the run and is not written over", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.tasks(ONE);
    await sandbox.repository.write("one.txt", "mine\n");
    const before = await sandbox.tip();
    const run = await sandbox.mycelium(["run", "--run-id", "r1"]);
    expect(run.code).toBe(3);
    expect(run.stderr + run.stdout).toContain("one.txt");
    expect(readFileSync(join(sandbox.repository.path, "one.txt"), "utf8")).toBe("mine\n");
    expect(await sandbox.tip()).toBe(before);
    await mkdir(join(sandbox.repository.folder, "aside"), { recursive: true });
    const { rename } = await import("node:fs/promises");
    await rename(
      join(sandbox.repository.path, "one.txt"),
      join(sandbox.repository.folder, "aside/one.txt"),
    );
    expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
  });
});
