import { afterEach, beforeEach, expect, test } from "vitest";
import { captureTerminal } from "../../test/support/captured-terminal.ts";
import { makeTestHome, recordRun, type TestHome } from "../../test/support/recorded-run.ts";
import { runProgram } from "./program.ts";

let home: TestHome;

beforeEach(async () => {
  home = await makeTestHome();
});
afterEach(() => home[Symbol.asyncDispose]());

async function mycelium(...args: readonly string[]) {
  const terminal = captureTerminal();
  const exitCode = await runProgram(args, terminal);
  return { exitCode, ...terminal.printed };
}

const COMMANDS = ["init", "plan", "run", "resume", "status", "runs", "logs", "clean"];
const LOG_COMMANDS = ["query", "search", "timeline", "failures", "summarize", "follow"];

test("help names every command with a line, the exit codes and examples", async () => {
  const { exitCode, stdout, stderr } = await mycelium("--help");
  expect(exitCode).toBe(0);
  expect(stderr).toBe("");
  for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} .*\\w{3}`, "m"));
  expect(stdout).toContain("Examples:");
  expect(stdout).toContain("130 and 143");
});

test.each([
  ...COMMANDS.map((name) => [name]),
  ["runs", "list"],
  ...LOG_COMMANDS.map((name) => ["logs", name]),
])("%s %s has help of its own, with the options that every command takes", async (...names) => {
  const { exitCode, stdout } = await mycelium(...names.filter((name) => name !== undefined), "-h");
  expect(exitCode).toBe(0);
  for (const option of ["--config", "--home", "--json", "--no-color"]) {
    expect(stdout).toContain(option);
  }
});

test("the version is that of the package", async () => {
  expect((await mycelium("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test.each([
  [["stauts"], "unknown command 'stauts'", "did you mean status?"],
  [["run", "--dryrun"], "unknown option '--dryrun'", "did you mean --dry-run?"],
  [["logs", "sumarize"], "unknown command 'sumarize'", "did you mean summarize?"],
  [["status", "a", "b"], "too many arguments for 'status'", "--help"],
  [["plan"], "required option '--input <file>' not specified", "--help"],
  [["run", "--max-parallel", "0"], "It must be a whole number of at least 1.", "--help"],
  [["run", "--max-parallel", "1e3"], "It must be a whole number", "--help"],
  [["run", "--tasks", "a,,b"], "It must be names separated by commas.", "--help"],
  [["logs", "timeline", "a", "--run", "b"], "two runs are named: a and b", "--help"],
])("%j is bad usage: exit code 2, what is wrong and what to do", async (args, what, next) => {
  const { exitCode, stdout, stderr } = await mycelium(...args);
  expect(exitCode).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toContain(`mycelium: ${what.startsWith("It") ? "option" : what}`);
  expect(stderr).toContain(what);
  expect(stderr).toContain("  next: ");
  expect(stderr).toContain(next);
  expect(stderr).not.toContain("    at ");
});

test.each([[[]], [["logs"]], [["runs"]]])("%j alone shows help and is bad usage", async (args) => {
  const { exitCode, stdout, stderr } = await mycelium(...args);
  expect(exitCode).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toContain("Usage: mycelium");
});

test.each([
  [["stauts", "--json"], "usage"],
  [["--json", "logs"], "usage"],
  [["status", "nope", "--json"], "run-missing"],
  [["--json", "status", "nope"], "run-missing"],
  [["logs", "query", "--json", "--since", "never"], "usage"],
  [["clean", "--run-id", "..", "--force", "--json"], "usage"],
])("%j answers its error as one JSON object on stdout", async (args, code) => {
  await recordRun(home, { tasks: [{ id: "1" }] });
  const { exitCode, stdout } = await mycelium("--home", home.path, ...args);
  expect(exitCode).toBe(2);
  const answer = JSON.parse(stdout) as { ok: boolean; error: Record<string, unknown> };
  expect(answer).toMatchObject({ ok: false, error: { code } });
  expect(Object.keys(answer.error).toSorted()).toEqual(["code", "details", "hint", "message"]);
});

test("options that every command takes may stand before its name or after", async () => {
  await recordRun(home, { tasks: [{ id: "1" }] });
  const { stdout } = await mycelium("runs", "list", "--home", home.path, "--json");
  expect(stdout).toContain('"run_id":"run-1"');
  expect(await mycelium("--json", "--home", home.path, "runs", "list")).toMatchObject({ stdout });
  expect(await mycelium("runs", "--json", "list", "--home", home.path)).toMatchObject({ stdout });
});

test("with -v an error says where in the program it arose, without it it does not", async () => {
  const quiet = await mycelium("--home", home.path, "status");
  expect(quiet.stderr).not.toContain("    at ");
  const verbose = await mycelium("--home", home.path, "status", "-v");
  expect(verbose.stderr).toContain("    at ");
});
