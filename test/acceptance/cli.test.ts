import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { settingsSchema } from "../../src/config/schema.ts";
import { makeSandbox, type Sandbox } from "../support/cli.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const COMMANDS = ["init", "plan", "run", "resume", "status", "runs", "logs", "clean"] as const;
const LOG_COMMANDS = ["query", "search", "timeline", "failures", "summarize", "follow"] as const;

const TASKS = [
  { id: "1", files: { writes: ["one.txt"] } },
  { id: "2", files: { writes: ["two.txt"] }, dependencies: ["1"] },
];

/** A run of which one task lands and the other fails at the doctor, with its workspace kept. */
async function runHalf(sandbox: Sandbox, runId = "r1"): Promise<void> {
  await sandbox.configure({
    max_attempts: 1,
    lint: "test ! -f two.txt || { echo o''h no; exit 3; }",
  });
  await sandbox.tasks(TASKS);
  expect(await sandbox.mycelium(["run", "--run-id", runId])).toMatchObject({ code: 1 });
}

describe("help", () => {
  it("lists every command, and each has a page of its own", async () => {
    await using sandbox = await makeSandbox();
    const help = await sandbox.mycelium(["--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    for (const command of COMMANDS)
      expect(help.stdout).toMatch(new RegExp(`^  ${command}\\b`, "m"));
    const pages = [
      ...COMMANDS.map((command) => [command]),
      ...LOG_COMMANDS.map((command) => ["logs", command]),
      ["runs", "list"],
    ];
    for (const page of pages) {
      const own = await sandbox.mycelium([...page, "--help"]);
      expect(own, page.join(" ")).toMatchObject({ code: 0, stderr: "" });
      expect(own.stdout).toContain(`Usage: mycelium ${page.join(" ")}`);
      expect(own.stdout).toContain("--json");
      expect(Math.max(...own.stdout.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(
        80,
      );
    }
    expect(existsSync(sandbox.home)).toBe(false);
  });

  it("is what one gets who says nothing, as bad usage", async () => {
    await using sandbox = await makeSandbox();
    const nothing = await sandbox.mycelium([]);
    expect(nothing).toMatchObject({ code: 2, stdout: "" });
    expect(nothing.stderr).toContain("Usage: mycelium");
  });
});

describe("init", () => {
  it("writes a configuration that is valid and is not overwritten unasked", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.repository.write("package.json", '{"scripts": {"test": "true"}}\n');
    const first = await sandbox.json(["init"]);
    expect(first).toMatchObject({ ok: true, branch: "main", doctor: "npm test", missing: [] });
    const file = join(sandbox.repository.path, ".mycelium/config.yaml");
    expect(settingsSchema.parse(readYaml(file))).toMatchObject({ main_branch: "main" });

    await writeFile(file, "mine\n");
    const second = await sandbox.mycelium(["init"]);
    expect(second).toMatchObject({ code: 2, stdout: "" });
    expect(second.stderr).toContain("--force");
    expect(readFileSync(file, "utf8")).toBe("mine\n");
    expect(await sandbox.mycelium(["init", "--force"])).toMatchObject({ code: 0 });
    expect(settingsSchema.parse(readYaml(file))).toMatchObject({ doctor: "npm test" });
  });

  it("says what it could not guess, and so does everything that needs it", async () => {
    await using sandbox = await makeSandbox();
    const told = await sandbox.mycelium(["init"]);
    expect(told).toMatchObject({ code: 0 });
    expect(told.stdout).toContain("doctor");
    const run = await sandbox.mycelium(["run"]);
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/doctor/);
  });
});

describe("where there are no runs yet", () => {
  it("reports say so, and nothing is made by looking", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    for (const command of [["status"], ["resume"], ...LOG_COMMANDS.map((name) => ["logs", name])]) {
      const args = command[1] === "search" ? [...command, "text"] : command;
      const told = await sandbox.json(args);
      expect(told, args.join(" ")).toMatchObject({ ok: false, error: { code: "run-missing" } });
    }
    expect(await sandbox.json(["runs", "list"])).toEqual({ ok: true, runs: [] });
    expect(await sandbox.json(["clean", "--force"])).toMatchObject({ ok: true, runs: [] });
    expect(existsSync(sandbox.home)).toBe(false);
    expect(await sandbox.json(["run"])).toMatchObject({ error: { code: "tasks-missing" } });
  });
});

describe("plan", () => {
  const planned = (...names: readonly string[]): string =>
    names.map((name) => `## ${name}\n\nDo ${name}.\n`).join("\n");

  it("writes a folder a task, replaces what it wrote before, and leaves the rest alone", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ planner: { provider: "outline" } });
    const env = { MOCK_LLM: "0" };
    const tasks = join(sandbox.repository.path, ".mycelium/tasks");
    await sandbox.repository.write("plan.md", planned("First thing", "Second thing"));
    const dry = await sandbox.json(["plan", "--input", "plan.md", "--dry-run"], { env });
    expect(dry).toMatchObject({ ok: true, tasks: [{ id: "001" }, { id: "002" }] });
    expect(existsSync(tasks)).toBe(false);
    await sandbox.json(["plan", "--input", "plan.md"], { env });
    expect(foldersIn(tasks)).toEqual(["001-first-thing", "002-second-thing"]);
    expect(readFileSync(join(tasks, "001-first-thing/spec.md"), "utf8")).toContain(
      "Do First thing.",
    );

    await sandbox.tasks([{ id: "mine", files: { writes: ["mine.txt"] } }]);
    await sandbox.repository.write("plan.md", planned("Another thing"));
    expect(await sandbox.json(["plan", "--input", "plan.md"], { env })).toMatchObject({ ok: true });
    expect(foldersIn(tasks)).toEqual(["001-another-thing", "mine-task"]);
    expect(await sandbox.json(["run", "--dry-run"])).toMatchObject({
      batches: [[{ id: "001" }, { id: "mine" }]],
    });
  });

  it("writes nothing where anything is wrong with it, and names all of that", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    const tasks = [
      { id: "a", name: "A", spec: "a", dependencies: ["b", "nobody"] },
      { id: "b", name: "B", spec: "b", dependencies: ["a"], locks: { writes: ["nothing"] } },
      { id: "c", name: "C", spec: "c" },
      { id: "C", name: "D", spec: "d" },
    ];
    await sandbox.repository.write("plan.json", JSON.stringify({ tasks }));
    const env = { MOCK_LLM: "0" };
    const told = await sandbox.json(["plan", "--input", "plan.json"], { env });
    expect(told).toMatchObject({ ok: false, error: { code: "plan-invalid" } });
    const text = JSON.stringify(told);
    for (const word of ["cycle", "nobody", "nothing", "has the id C"]) expect(text).toContain(word);
    expect(foldersIn(join(sandbox.repository.path, ".mycelium/tasks"))).toEqual([]);
    const missing = await sandbox.mycelium(["plan", "--input", "elsewhere.md"], { env });
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain("elsewhere.md");
  });
});

function foldersIn(path: string): readonly string[] {
  const entries = readdirSync(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

describe("a dry run", () => {
  it("shows the batches and changes nothing", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.tasks(TASKS);
    const refs = await sandbox.repository.git("show-ref");
    expect(await sandbox.json(["run", "--dry-run"])).toEqual({
      ok: true,
      batches: [[{ id: "1", name: "Task 1" }], [{ id: "2", name: "Task 2" }]],
    });
    expect(await sandbox.mycelium(["run", "--dry-run", "--tasks", "2"])).toMatchObject({ code: 2 });
    expect(existsSync(sandbox.home)).toBe(false);
    expect(await sandbox.repository.git("show-ref")).toBe(refs);
  });
});

describe("reports of a run", () => {
  it("are one JSON object each, with what is so", async () => {
    await using sandbox = await makeSandbox();
    await runHalf(sandbox);
    const status = await sandbox.json(["status"]);
    expect(status).toMatchObject({
      ok: true,
      run_id: "r1",
      status: "failed",
      is_live: false,
      stop: { reason: "task-failed" },
      counts: { complete: 1, failed: 1 },
      tasks: [
        { id: "1", state: "complete", attempts: 1, landed_commit: await sandbox.tip() },
        { id: "2", state: "failed", reason: "lint-failed", landed_commit: null },
      ],
    });
    expect(status["next"]).toContain("mycelium resume");
    expect(await sandbox.json(["runs", "list"])).toMatchObject({
      ok: true,
      runs: [{ run_id: "r1", tasks: 2 }],
    });
    const gates = (await sandbox.json(["logs", "query", "--type", "gate.*"]))["events"] as object[];
    expect(gates.length).toBeGreaterThanOrEqual(3);
    for (const event of gates) expect(event).toMatchObject({ type: "gate.decided", run_id: "r1" });
    expect(
      await sandbox.json(["logs", "query", "--task", "2", "--type", "task.failed"]),
    ).toMatchObject({ events: [{ task_id: "2", payload: { reason: "lint-failed" } }] });
    expect(await sandbox.json(["logs", "search", "OH NO"])).toMatchObject({
      matches: [{ event: { task_id: "2" }, excerpt: expect.stringContaining("oh no") }],
    });
    const entries = (await sandbox.json(["logs", "timeline"]))["entries"] as unknown[];
    expect(entries.length).toBeGreaterThan(5);
    expect(await sandbox.json(["logs", "failures"])).toMatchObject({
      failures: expect.arrayContaining([
        expect.objectContaining({ what: expect.stringContaining("lint"), detail: "oh no\n" }),
      ]),
    });
    expect(JSON.stringify(await sandbox.json(["logs", "summarize"]))).toContain("lint");
  });

  it("say the same to people, without a word about programs", async () => {
    await using sandbox = await makeSandbox();
    await runHalf(sandbox);
    const status = await sandbox.mycelium(["status"]);
    expect(status.stdout).toMatch(/^1 +complete/m);
    expect(status.stdout).toMatch(/^2 +failed/m);
    expect(status.stdout).toMatch(/Next: .*mycelium/);
    const failures = await sandbox.mycelium(["logs", "failures"]);
    expect(failures.stdout).toContain("oh no");
    expect((await sandbox.mycelium(["logs", "summarize"])).stdout).toContain("lint");
    expect((await sandbox.mycelium(["logs", "search", "oh no"])).stdout).toContain("oh no");
    const none = await sandbox.mycelium(["logs", "search", "no such words"]);
    expect(none).toMatchObject({ code: 0 });
    const unknown = await sandbox.mycelium(["logs", "query", "--type", "gate.descided"]);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain("gate.*");
  });

  it("answer for the run that is named, and refuse one that is not there", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.tasks(TASKS);
    await sandbox.mycelium(["run", "--run-id", "r1"]);
    await sandbox.mycelium(["run", "--run-id", "r2"]);
    expect(await sandbox.json(["status"])).toMatchObject({ run_id: "r2" });
    expect(await sandbox.json(["status", "r1"])).toMatchObject({ run_id: "r1" });
    const missing = await sandbox.mycelium(["status", "r3"]);
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain("runs list");
    expect(await sandbox.json(["run", "--run-id", "r1"])).toMatchObject({
      error: { code: "run-exists" },
    });
  });
});

function readYaml(file: string): unknown {
  return parse(readFileSync(file, "utf8"));
}

/** All paths below a folder. */
function below(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
}

describe("clean", () => {
  it("shows, refuses where nobody can be asked, and removes one run and nothing else", async () => {
    await using sandbox = await makeSandbox();
    await runHalf(sandbox, "r1");
    await runHalf(sandbox, "r2");
    const before = below(sandbox.home).toSorted();
    const tip = await sandbox.tip();
    const dry = await sandbox.json(["clean", "--dry-run", "--run-id", "r1"]);
    // Its workspace holds work that never landed.
    expect(dry).toMatchObject({ ok: true, dry_run: true, runs: [], refused: [{ run_id: "r1" }] });
    const refused = await sandbox.mycelium(["clean", "--run-id", "r1"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("--force");
    expect(below(sandbox.home).toSorted()).toEqual(before);

    const forced = await sandbox.json(["clean", "--run-id", "r1", "--force"]);
    expect(forced).toMatchObject({ ok: true, runs: [{ run_id: "r1" }] });
    const left = below(sandbox.home);
    expect(left.filter((path) => /(?:^|\/)r1(?:[./]|$)/.test(path))).toEqual([]);
    expect(left.filter((path) => path.startsWith("runs/r2"))).not.toEqual([]);
    expect(left.filter((path) => path.startsWith("workspaces/r2."))).not.toEqual([]);
    expect(await sandbox.tip()).toBe(tip);
    expect(await sandbox.repository.git("status", "--porcelain", "--untracked-files=no")).toBe("");
    const refs = await sandbox.repository.git("for-each-ref", "refs/mycelium/runs");
    expect(refs).not.toContain("refs/mycelium/runs/r1/");
    expect(await sandbox.json(["runs", "list"])).toMatchObject({ runs: [{ run_id: "r2" }] });
    // The proof of what has landed is the repository's, and stays.
    expect(await sandbox.repository.git("notes", "--ref=mycelium", "list")).not.toBe("");
  });

  it("keeps the logs where it is told to, and takes them the next time", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.tasks(TASKS);
    await sandbox.mycelium(["run", "--run-id", "r1"]);
    expect(await sandbox.json(["clean", "--force", "--keep-logs"])).toMatchObject({ ok: true });
    expect(sandbox.events("r1").at(-1)?.type).toBe("run.completed");
    expect(await sandbox.json(["status", "r1"])).toMatchObject({ error: { code: "run-missing" } });
    await sandbox.json(["clean", "--force", "--run-id", "r1"]);
    expect(existsSync(join(sandbox.home, "runs/r1"))).toBe(false);
  });
});

describe("places and options", () => {
  it("may have spaces in them, and options may stand before the command or after it", async () => {
    await using sandbox = await makeSandbox();
    await using elsewhere = await temporaryFolder();
    await sandbox.configure({});
    await sandbox.tasks(TASKS);
    const folder = join(elsewhere.path, "my settings");
    await mkdir(folder);
    await cp(join(sandbox.repository.path, ".mycelium"), folder, { recursive: true });
    await rm(join(sandbox.repository.path, ".mycelium"), { recursive: true });
    const file = join(folder, "my config.yaml");
    const settings = readYaml(join(folder, "config.yaml")) as object;
    await writeFile(file, JSON.stringify({ ...settings, repo_path: sandbox.repository.path }));
    const home = join(elsewhere.path, "my home");
    const options = ["--config", file, "--home", home];
    const run = await sandbox.mycelium([...options, "run", "--run-id", "r1"], { cwd: folder });
    expect(run, run.stderr).toMatchObject({ code: 0 });
    expect(existsSync(sandbox.home)).toBe(false);
    const after = await sandbox.json(["status", ...options], { cwd: elsewhere.path });
    const before = await sandbox.json([...options, "status"], { cwd: elsewhere.path });
    expect(after).toMatchObject({ status: "complete", config_path: file });
    expect(before).toMatchObject({ status: "complete", config_path: file });
    expect(await sandbox.repository.git("show", "main:two.txt")).toContain("2");
  });
});
