import { writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { receiptSchema } from "../../src/domain/receipt.ts";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";

/** Writes its task's id to the file that the spec names. */
const WRITER = 'read -r file; mkdir -p "$(dirname "$file")"; echo "$MYCELIUM_TASK_ID" >> "$file"';

async function withWriter(sandbox: Sandbox, settings: Record<string, unknown>): Promise<void> {
  await sandbox.configure({
    agent: "command",
    agents: { command: { command: WRITER, reports_usage: false } },
    ...settings,
  });
}

const writes = (id: string, file: string, more: Record<string, unknown> = {}) => ({
  id,
  files: { writes: [file] },
  spec: `${file}\n`,
  ...more,
});

describe("landing", () => {
  it("puts one commit a task on the branch, each with its receipt, and the checkout follows", async () => {
    await using sandbox = await makeSandbox();
    await withWriter(sandbox, {});
    await sandbox.tasks([writes("1", "one.txt"), writes("2", "two.txt")]);
    const before = await sandbox.tip();
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 0 });
    const { repository } = sandbox;
    const commits = (await repository.git("rev-list", `${before}..main`)).split("\n");
    expect(commits).toHaveLength(2);
    for (const commit of commits) {
      const note = await repository.git("notes", "--ref=mycelium", "show", commit);
      const receipt = receiptSchema.parse(JSON.parse(note));
      expect(receipt).toMatchObject({ commit, run: "r1", agent: "command", v: 1 });
      expect(receipt.tree).toBe(await repository.git("rev-parse", `${commit}^{tree}`));
      expect(receipt.landing.tip).toBe(await sandbox.tip());
      expect(receipt.landing.gates).toMatchObject([
        { gate: "doctor", answer: "pass", command: "test -f README.md", exit_code: 0 },
      ]);
    }
    expect(existsSync(join(repository.path, "one.txt"))).toBe(true);
    expect(await repository.git("status", "--porcelain", "--untracked-files=no")).toBe("");
  });

  it("keeps the agent's own commits below a merge commit where the strategy says so", async () => {
    await using sandbox = await makeSandbox();
    await withWriter(sandbox, { landing: { strategy: "merge" } });
    await sandbox.tasks([writes("1", "one.txt")]);
    const before = await sandbox.tip();
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 0 });
    const parents = await sandbox.repository.git("log", "-1", "--format=%P", "main");
    expect(parents.split(" ")).toHaveLength(2);
    expect(parents.split(" ")[0]).toBe(before);
  });

  it("sends a conflict back with the conflict shown and lands the second try on the new base", async () => {
    await using sandbox = await makeSandbox();
    const once =
      'if [ -n "$MYCELIUM_FEEDBACK_FILE" ]; then cp "$MYCELIUM_FEEDBACK_FILE" seen.txt; fi; ' +
      'echo "$MYCELIUM_TASK_ID" >> src/app.txt';
    await sandbox.configure({
      manifest_enforcement: "off",
      agents: { command: { command: once, reports_usage: false } },
    });
    await sandbox.tasks([writes("1", "src/app.txt"), writes("2", "src/app.txt")]);
    const run = await sandbox.mycelium(["run", "--run-id", "r1", "--agent", "command"]);
    expect(run).toMatchObject({ code: 0 });
    const [conflicted] = ofType(sandbox.events("r1"), "landing.conflicted");
    expect(conflicted?.payload["paths"]).toEqual(["src/app.txt"]);
    const text = await sandbox.repository.git("show", "main:src/app.txt");
    expect(text.split("\n").slice(-2).toSorted()).toEqual(["1", "2"]);
    const seen = await sandbox.repository.git("show", "main:seen.txt");
    expect(seen).toContain("<<<<<<<");
    const attempts = sandbox.state("r1").tasks.map((task) => task.attempts);
    expect(attempts.toSorted()).toEqual([1, 2]);
  });

  it("gives a task up that conflicts with each try, and lands the others", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({
      max_attempts: 2,
      max_parallel: 2,
      manifest_enforcement: "off",
      doctor: "test ! -f bad.txt",
      agents: { command: { command: 'touch "$(cat)"', reports_usage: false } },
    });
    await sandbox.tasks([
      writes("1", "good.txt", { spec: "good.txt" }),
      writes("2", "bad.txt", { spec: "bad.txt" }),
    ]);
    const run = await sandbox.mycelium(["run", "--run-id", "r1", "--agent", "command"]);
    expect(run.code).toBe(1);
    const state = sandbox.state("r1");
    expect(state).toMatchObject({ status: "failed", stop_reason: "task-failed" });
    expect(state.tasks.map((task) => [task.state, task.attempts])).toEqual([
      ["complete", 1],
      ["failed", 2],
    ]);
  });

  it("finds by halving the one task of a batch that the doctor fails on, and lands the rest", async () => {
    await using sandbox = await makeSandbox();
    // Alone in its workspace each task passes; "3" and "5" together do not.
    await withWriter(sandbox, {
      max_attempts: 1,
      doctor: "! { test -f 3.txt && test -f 5.txt; }",
      landing: { batch_max: 8, linger_seconds: 60 },
    });
    await sandbox.tasks(["1", "2", "3", "4", "5", "6"].map((id) => writes(id, `${id}.txt`)));
    const run = await sandbox.mycelium(["run", "--run-id", "r1", "--max-parallel", "1"]);
    expect(run.code).toBe(1);
    const states = sandbox.state("r1").tasks.map(({ id, state }) => `${id} ${state}`);
    expect(states.filter((line) => line.endsWith("complete"))).toHaveLength(5);
    expect(["3 failed", "5 failed"].filter((line) => states.includes(line))).toHaveLength(1);
    expect(ofType(sandbox.events("r1"), "landing.rejected").length).toBeGreaterThanOrEqual(2);
    const tree = await sandbox.repository.git("ls-tree", "--name-only", "main");
    expect(tree.includes("3.txt") && tree.includes("5.txt")).toBe(false);
  });

  it("proves and lands again what a person's commit has outrun", async () => {
    await using sandbox = await makeSandbox();
    const { repository } = sandbox;
    await repository.git("checkout", "--quiet", "-b", "elsewhere");
    // The doctor of the first landing is the person: it moves the branch while the candidate is proved.
    const flag = join(repository.folder, "pushed");
    const push =
      `case "$PWD" in */r1._landing/*) if [ ! -e ${flag} ]; then touch ${flag}; ` +
      `c=$(git -C ${repository.path} -c user.name=P -c user.email=p@localhost commit-tree -p main -m person 'main^{tree}'); ` +
      `git -C ${repository.path} update-ref refs/heads/main $c; fi;; esac; test -f README.md`;
    await withWriter(sandbox, { doctor: push });
    await sandbox.tasks([writes("1", "one.txt")]);
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 0 });
    expect(ofType(sandbox.events("r1"), "landing.outrun")).toHaveLength(1);
    const subjects = await repository.git("log", "--format=%s", "main");
    expect(subjects.split("\n")).toEqual(["Task 1", "person", "base"]);
  });

  it("leaves hooks, stash, configuration and index of the user alone", async () => {
    await using sandbox = await makeSandbox();
    const { repository } = sandbox;
    const trace = join(repository.folder, "hook-ran");
    for (const hook of ["post-checkout", "post-merge", "reference-transaction", "pre-commit"]) {
      const path = join(repository.path, ".git", "hooks", hook);
      await writeFile(path, `#!/bin/sh\necho ${hook} >> ${trace}\n`, { mode: 0o755 });
    }
    await repository.write("src/app.txt", "stashed\n");
    await repository.git("-c", "core.hooksPath=/dev/null", "stash");
    const stash = await repository.git("stash", "list");
    const config = await repository.git("config", "--local", "--list");
    await withWriter(sandbox, {});
    await sandbox.tasks([writes("1", "one.txt")]);
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 0 });
    expect(existsSync(trace)).toBe(false);
    expect(await repository.git("stash", "list")).toBe(stash);
    expect(await repository.git("config", "--local", "--list")).toBe(config);
    expect(await repository.git("diff", "--cached", "--name-only")).toBe("");
  });
});
