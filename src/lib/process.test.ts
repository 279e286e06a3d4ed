import { readFile } from "node:fs/promises";
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import {
  endMarkedProcesses,
  runProcess,
  type ProcessRequest,
  type ProcessResult,
} from "./process.ts";
import { findProcess } from "./process-table.ts";

// Where it is about the two seconds of grace, tests wait side by side (`test.concurrent`).
const PATH = "/usr/local/bin:/usr/bin:/bin";

function run(
  script: string,
  cwd: string,
  request: Partial<ProcessRequest> = {},
): Promise<ProcessResult> {
  return runProcess({
    command: ["/bin/sh", "-c", script],
    cwd,
    env: { PATH },
    timeoutMs: 60_000,
    outputBytesMax: 65_536,
    ...request,
  });
}

function pidIn(path: string): number {
  return Number(readFileSync(path, "utf8"));
}

const isGone = (pid: number): boolean => findProcess(pid) === null;

/** Writes its pid into `file` once it ignores SIGTERM, and stays. */
const stubborn = (file: string): string =>
  `sh -c 'trap "" TERM HUP; echo $$ > ${file}.new; mv ${file}.new ${file}; while :; do sleep 0.05; done'`;

test("a program's streams come back apart, with its exit code", async () => {
  await using folder = await temporaryFolder();
  const result = await run("echo out; echo err >&2; exit 7", folder.path);
  expect(result.ending).toEqual({ kind: "exited", code: 7 });
  expect(result.stdout).toEqual({ bytes: Buffer.from("out\n"), totalBytes: 4, droppedBytes: 0 });
  expect(result.stderr.bytes.toString()).toBe("err\n");
});

test("the environment is exactly what was given", async () => {
  await using folder = await temporaryFolder();
  const result = await run("", folder.path, {
    command: ["/usr/bin/env"],
    env: { ONLY: "this" },
  });
  expect(result.stdout.bytes.toString()).toBe("ONLY=this\n");
});

test("input is written and closed", async () => {
  await using folder = await temporaryFolder();
  const stdin = "x".repeat(1_000_000);
  const result = await run("wc -c", folder.path, { stdin });
  expect(result.stdout.bytes.toString().trim()).toBe("1000000");
});

test("without input a program reads an end at once", async () => {
  await using folder = await temporaryFolder();
  const result = await run("cat; echo done", folder.path);
  expect(result.stdout.bytes.toString()).toBe("done\n");
});

test("a program that does not read its input is no error", async () => {
  await using folder = await temporaryFolder();
  const result = await run("exec true", folder.path, { stdin: Buffer.alloc(5_000_000) });
  expect(result.ending).toEqual({ kind: "exited", code: 0 });
});

test("death by a signal is told with its name", async () => {
  await using folder = await temporaryFolder();
  const result = await run("kill -USR1 $$", folder.path);
  expect(result.ending).toEqual({ kind: "signalled", signal: "SIGUSR1" });
});

test.each([
  ["a missing program", "/no/such/program", ".", /no such program/],
  ["a missing folder", "true", "missing", /folder .*missing is missing/],
  ["a file that is no program", "/etc/passwd", ".", /EACCES/],
  ["an argument with a NUL", "true\0", ".", /null bytes/],
])("%s is unstartable, and the message says so", async (_name, program, cwd, message) => {
  await using folder = await temporaryFolder();
  const result = await run("", `${folder.path}/${cwd}`, { command: [program] });
  expect(result.ending).toEqual({
    kind: "unstartable",
    message: expect.stringMatching(message),
  });
});

test("of a flood only the end is kept, and the listener sees all of it", async () => {
  await using folder = await temporaryFolder();
  const before = process.memoryUsage().rss;
  let most = before;
  let heard = 0;
  const result = await run("head -c 300000000 /dev/zero; printf end", folder.path, {
    outputBytesMax: 10,
    onOutput: (_stream, chunk) => {
      heard += chunk.length;
      most = Math.max(most, process.memoryUsage.rss());
    },
  });
  expect(result.ending).toEqual({ kind: "exited", code: 0 });
  expect(result.stdout.bytes.toString()).toBe(`${"\0".repeat(7)}end`);
  expect(result.stdout.totalBytes).toBe(300_000_003);
  expect(result.stdout.droppedBytes).toBe(299_999_993);
  expect(heard).toBe(300_000_003);
  expect(most - before).toBeLessThan(150_000_000);
});

test.concurrent("at the timeout the group dies, children that ignore SIGTERM included", async () => {
  await using folder = await temporaryFolder();
  const script = `${stubborn("child")} & while :; do sleep 0.05; done`;
  const result = await run(script, folder.path, { timeoutMs: 300 });
  expect(result.ending).toEqual({ kind: "timed-out" });
  expect(isGone(pidIn(`${folder.path}/child`))).toBe(true);
});

test("at the timeout a program gets the chance to end by itself", async () => {
  await using folder = await temporaryFolder();
  const script = `trap 'echo tidied up; exit 0' TERM; while :; do sleep 0.05; done`;
  const result = await run(script, folder.path, { timeoutMs: 200 });
  expect(result.ending).toEqual({ kind: "timed-out" });
  expect(result.stdout.bytes.toString()).toBe("tidied up\n");
  expect(result.durationMs).toBeLessThan(2_000);
});

test.concurrent("an abort ends the tree, descendants in sessions of their own included", async () => {
  await using folder = await temporaryFolder();
  const stop = new AbortController();
  const file = `${folder.path}/child`;
  const running = run(`setsid ${stubborn("child")}; true`, folder.path, { signal: stop.signal });
  await eventually("the child runs", () => existsSync(file));
  stop.abort();
  expect((await running).ending).toEqual({ kind: "aborted" });
  expect(isGone(pidIn(file))).toBe(true);
});

test("what is aborted before it starts does not start", async () => {
  await using folder = await temporaryFolder();
  const result = await run("touch started", folder.path, { signal: AbortSignal.abort() });
  expect(result.ending).toEqual({ kind: "aborted" });
  expect(existsSync(`${folder.path}/started`)).toBe(false);
});

test("background children that hold the pipes open are ended with the program", async () => {
  await using folder = await temporaryFolder();
  const script = `${stubborn("child")} & until test -e child; do sleep 0.01; done; echo done`;
  const result = await run(script, folder.path);
  expect(result.ending).toEqual({ kind: "exited", code: 0 });
  expect(result.stdout.bytes.toString()).toBe("done\n");
  expect(isGone(pidIn(`${folder.path}/child`))).toBe(true);
});

/** Leaves group, session and parent behind, and closes the pipes. */
const daemon = (file: string): string =>
  `(setsid ${stubborn(file)} > /dev/null 2>&1 < /dev/null &); until test -e ${file}; do sleep 0.01; done`;

test("a daemon that carries the marker is ended with the program that started it", async () => {
  await using folder = await temporaryFolder();
  const marker = `MARK=${folder.path}`;
  const [name, value] = marker.split("=") as [string, string];
  const result = await run(daemon("child"), folder.path, { marker, env: { PATH, [name]: value } });
  expect(result.ending).toEqual({ kind: "exited", code: 0 });
  expect(isGone(pidIn(`${folder.path}/child`))).toBe(true);
});

test.concurrent("at the timeout daemons that carry the marker are ended too", async () => {
  await using folder = await temporaryFolder();
  const env = { PATH, MARK: folder.path };
  const script = `${daemon("child")}; while :; do sleep 0.05; done`;
  const marker = `MARK=${folder.path}`;
  const result = await run(script, folder.path, { marker, env, timeoutMs: 500 });
  expect(result.ending).toEqual({ kind: "timed-out" });
  expect(isGone(pidIn(`${folder.path}/child`))).toBe(true);
});

test.concurrent("a pipe that something unfindable holds open does not hold up the result", async () => {
  await using folder = await temporaryFolder();
  const child = `setsid sh -c 'echo $$ > child.new; mv child.new child; exec sleep 60'`;
  const script = `(${child} &); until test -e child; do sleep 0.01; done; echo done`;
  const result = await run(script, folder.path);
  const pid = Number(await readFile(`${folder.path}/child`, "utf8"));
  try {
    expect(result.stdout.bytes.toString()).toBe("done\n");
    // What carries no marker and left the session is not found: otherwise this shows nothing.
    expect(isGone(pid)).toBe(false);
    expect(result.durationMs).toBeLessThan(10_000);
  } finally {
    process.kill(pid, "SIGKILL");
  }
});

test("children that fork as fast as they can are all ended", async () => {
  await using folder = await temporaryFolder();
  const script = `bomb() { test -e stop || { sleep 0.01; bomb & sleep 0.02; bomb; }; }; bomb & bomb & wait`;
  const marker = `MARK=${folder.path}`;
  const env = { PATH, MARK: folder.path };
  const result = await run(script, folder.path, { timeoutMs: 150, marker, env });
  expect(result.ending).toEqual({ kind: "timed-out" });
  expect(await endMarkedProcesses(marker)).toBe(0);
});
