import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  captureTerminal,
  type CapturedTerminalOptions,
} from "../../test/support/captured-terminal.ts";
import {
  makeTestHome,
  recordRun,
  type RecordedRun,
  type TestHome,
} from "../../test/support/recorded-run.ts";
import { runProgram } from "./program.ts";

let home: TestHome;
let run: RecordedRun;

const TRICKY = "\u001b[2J\u001b]0;title\u0007\u001b[31mred\u009b1mbold\u202etxt.exe\r\b";

beforeEach(async () => {
  home = await makeTestHome();
  const tasks = [
    { id: "1", name: "Add a greeting" },
    { id: "2", name: `Evil ${TRICKY} name` },
    { id: "3", name: "Document both" },
  ];
  run = await recordRun(home, { tasks });
  await run.attempt("1", {
    text: `hello ${TRICKY}`,
    gates: [{ gate: "doctor", answer: "fail", outputTail: `line one\n${TRICKY}needle` }],
    rejected: "doctor-failed",
    message: "the doctor said no",
    usage: { input_tokens: 1_000, cost_usd: 0.5 },
  });
  await run.attempt("1", { usage: { input_tokens: 234, cost_usd: 0.25 } });
  await run.land(["1"]);
  await run.attempt("2", {
    rejected: "agent-failed",
    then: "fail",
    message: `it said ${TRICKY}`,
    usage: null,
  });
  await run.stop("task-failed", `2 of 3 tasks did not land ${TRICKY}`, "mend the spec");
});
afterEach(() => home[Symbol.asyncDispose]());

async function mycelium(args: readonly string[], options: CapturedTerminalOptions = {}) {
  const terminal = captureTerminal(options);
  const exitCode = await runProgram(["--home", home.path, ...args], terminal);
  return { exitCode, ...terminal.printed, questions: terminal.questions };
}

const COMMANDS: readonly (readonly [readonly string[]])[] = [
  [["status"]],
  [["runs", "list"]],
  [["logs", "query"]],
  [["logs", "search", "NEEDLE"]],
  [["logs", "timeline"]],
  [["logs", "failures"]],
  [["logs", "summarize"]],
  [["logs", "follow"]],
  [["clean", "--dry-run"]],
];

test.each(COMMANDS)("%j prints nothing that a terminal would obey", async (args) => {
  const { exitCode, stdout, stderr } = await mycelium(args);
  expect(exitCode).toBe(0);
  expect(stderr).toBe("");
  expect(stdout).not.toBe("");
  expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
});

test.each(COMMANDS)("%j is coloured on a terminal, and not where nobody wants it", async (args) => {
  const coloured = await mycelium(args, { isTerminal: true });
  const plain = await mycelium([...args, "--no-color"], { isTerminal: true });
  expect(coloured.stdout).toContain("\u001b[");
  expect(plain.stdout).not.toContain("\u001b[");
  // oxlint-disable-next-line no-control-regex -- colours are what this is about
  expect(coloured.stdout.replaceAll(/\u001b\[\d+m/g, "")).toBe(plain.stdout);
});

test.each(COMMANDS)("%j answers programs with an object that is ok", async (args) => {
  const { stdout } = await mycelium([...args, "--json"]);
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  expect(JSON.parse(last)).toMatchObject({ ok: true });
});

test("status shows the tasks with what they used, what went wrong and what to do", async () => {
  const { stdout } = await mycelium(["status"]);
  expect(stdout).toContain("Run run-1: failed");
  expect(stdout).toMatch(
    /^1 +complete +2 +2 min 00 s +1,234 +\$0\.75 +31ffffffff +Add a greeting$/m,
  );
  expect(stdout).toMatch(/^2 +failed +1 +1 min 00 s +unknown +unknown +- +Evil /m);
  expect(stdout).toMatch(/^3 +pending +0 +- +- +- +- +Document both$/m);
  expect(stdout).toContain("2  agent-failed: it said redbold");
  expect(stdout).toContain("at least 1,234 tokens, cost unknown, 1 attempt did not tell");
  expect(stdout).toContain("Next: Mend the spec.");
});

test("following prints events as lines of JSON, and then how it ended", async () => {
  const { stdout } = await mycelium(["logs", "follow", "--after", "0", "--json"]);
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { seq?: number });
  const end = lines.pop();
  expect(end).toMatchObject({ ok: true, run_id: "run-1", ended: "run", status: "failed" });
  expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, at) => at + 1));
  const tail = await mycelium(["logs", "follow", "-n", "2", "--json"]);
  expect(tail.stdout.trimEnd().split("\n")).toHaveLength(3);
});

test("clean asks nobody where nobody is, and removes nothing", async () => {
  const { exitCode, stderr } = await mycelium(["clean"]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("nobody is there to say yes");
  expect(stderr).toContain("--force");
  expect((await mycelium(["runs", "list"])).stdout).toContain("run-1");
});

test.each([
  [false, 2],
  [true, 0],
])("clean asks on a terminal and does as it is told: %s", async (answer, expected) => {
  const { exitCode, questions, stderr } = await mycelium(["clean"], { answer });
  expect(exitCode).toBe(expected);
  expect(questions).toEqual(["Remove it? [y/N] "]);
  expect(stderr).toContain("Run run-1, failed: ");
  const { stdout } = await mycelium(["runs", "list"]);
  expect(stdout.includes("run-1")).toBe(!answer);
});

test("clean with --force does not ask", async () => {
  const { exitCode, stdout, questions } = await mycelium(["clean", "--force"]);
  expect(exitCode).toBe(0);
  expect(questions).toEqual([]);
  expect(stdout).toContain("Removed 1 run");
  expect((await mycelium(["clean"])).stdout).toBe("There is nothing to clean.\n");
});

test("clean of a run with work that did not land says what would be lost, and does not ask", async () => {
  await run.resume();
  await run.attempt("3");
  await run.stop("interrupted", "stopped");
  const named = await mycelium(["clean", "--run-id", "run-1"], { answer: true });
  expect(named).toMatchObject({ exitCode: 2, questions: [] });
  expect(named.stderr).toContain("task 3 passed its gates and has not landed");
  const all = await mycelium(["clean"], { answer: true });
  expect(all).toMatchObject({ exitCode: 0, questions: [] });
  expect(all.stdout).toContain("Run run-1 is left alone:\n  task 3 passed its gates");
});

test("commands that only look make no home", async () => {
  const elsewhere = join(home.path, "elsewhere");
  for (const args of [["status"], ["runs", "list"], ["logs", "timeline"], ["clean", "--force"]]) {
    await runProgram(["--home", elsewhere, ...args], captureTerminal());
  }
  expect(existsSync(elsewhere)).toBe(false);
});
