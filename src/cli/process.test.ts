import { spawn, type ChildProcess } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import {
  makeTestHome,
  recordRun,
  type RecordedRun,
  type TestHome,
} from "../../test/support/recorded-run.ts";
import { systemClock } from "../lib/clock.ts";
import { withRepository } from "../runs/lease-keeper.ts";
import { openStore } from "../store/store.ts";

const MAIN = resolve(import.meta.dirname, "main.ts");
const LAUNCHER = resolve(import.meta.dirname, "../../bin/mycelium.js");

let home: TestHome;
let run: RecordedRun;

beforeEach(async () => {
  home = await makeTestHome();
  run = await recordRun(home, { tasks: [{ id: "1" }] });
});
afterEach(() => home[Symbol.asyncDispose]());

interface Child {
  readonly process: ChildProcess;
  readonly printed: { stdout: string; stderr: string };
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
}

function start(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Child {
  const child = spawn(program, args, {
    env: { PATH: process.env["PATH"], HOME: home.path, MYCELIUM_HOME: home.path, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (printed.stdout += String(chunk)));
  child.stderr.on("data", (chunk) => (printed.stderr += String(chunk)));
  const ended = new Promise<Awaited<Child["ended"]>>((resolveEnd) =>
    child.on("close", (code, signal) => resolveEnd({ code, signal })),
  );
  return { process: child, printed, ended };
}

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends a command in order, with exit code %i", async (signal, code) => {
  // The lease must be good by the clock of the child.
  const store = await openStore({ home: home.path, clock: systemClock, redact: (text) => text });
  await withRepository(store, "/repository/.git", `run ${run.runId}`, async () => {
    const child = start(process.execPath, [MAIN, "logs", "follow", "--json"]);
    await eventually("it follows", () => child.printed.stdout.includes("run.started"));
    child.process.kill(signal);
    expect(await child.ended).toEqual({ code, signal: null });
    const last = child.printed.stdout.trimEnd().split("\n").at(-1) ?? "";
    expect(JSON.parse(last)).toMatchObject({ ok: true, ended: "signal" });
    expect(child.printed.stderr).toContain("once more stops at once");
  });
  await store.close();
});

test("a second signal ends the process at once, the same one twice in a moment does not", async () => {
  const script = `
    const { listenForSignals } = await import(${JSON.stringify(resolve(import.meta.dirname, "signals.ts"))});
    let nowMs = 0;
    listenForSignals({ monotonic: () => nowMs }, () => console.log("first"));
    process.on("SIGUSR2", () => { nowMs += 10_000; console.log("later"); });
    process.on("SIGINT", () => console.log("again"));
    setInterval(() => {}, 1_000);
    console.log("ready");
  `;
  const child = start(process.execPath, ["--input-type=module", "-e", script]);
  const times = (word: string) => child.printed.stdout.split(word).length - 1;
  await eventually("it listens", () => times("ready") === 1);
  child.process.kill("SIGINT");
  await eventually("it has got the first", () => times("again") === 1);
  child.process.kill("SIGINT");
  await eventually("it has got the second", () => times("again") === 2);
  expect(child.process.exitCode).toBeNull();
  child.process.kill("SIGUSR2");
  await eventually("time has passed", () => times("later") === 1);
  child.process.kill("SIGTERM");
  expect(await child.ended).toEqual({ code: 143, signal: null });
  expect(times("first")).toBe(1);
});

test("a reader that has seen enough is no error", async () => {
  await home.store.record(async (change) => {
    for (let index = 0; index < 20_000; index += 1) {
      const payload = { stream: "stdout", text: `line ${index} ${"x".repeat(100)}` } as const;
      await change.event(run.runId, { type: "agent.text", task_id: "1", payload });
    }
  });
  const program = [process.execPath, MAIN, "logs", "query", "--limit", "100000"];
  const quoted = program.map((word) => `'${word}'`).join(" ");
  const child = start("/bin/sh", ["-c", `{ ${quoted}; echo "exit $?" >&2; } | head -n 2`]);
  expect(await child.ended).toEqual({ code: 0, signal: null });
  expect(child.printed.stdout.split("\n")).toHaveLength(3);
  expect(child.printed.stderr).toBe("exit 0\n");
});

/** Makes this Node say that it is an older one. */
const OLDER =
  "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})";

async function makeInstallation(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mycelium-test-"));
  await mkdir(join(folder, "bin"));
  await copyFile(LAUNCHER, join(folder, "bin/mycelium.js"));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  await mkdir(join(folder, "dist/cli"), { recursive: true });
  for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text);
  return folder;
}

const MAIN_THAT_TELLS = `
  console.log(JSON.stringify({ args: process.argv.slice(2), node: process.versions.node }));
  if (process.argv[2] === "wait") {
    process.on("SIGTERM", () => process.exit(77));
    setInterval(() => {}, 1_000);
  } else if (process.argv[2] === "die") process.kill(process.pid, "SIGKILL");
  else process.exitCode = 33;
`;

test("an older Node hands over to the one that is installed beside it, and its end back", async () => {
  const folder = await makeInstallation({ "dist/cli/main.js": MAIN_THAT_TELLS });
  try {
    await mkdir(join(folder, "node_modules/node/bin"), { recursive: true });
    await symlink(process.execPath, join(folder, "node_modules/node/bin/node"));
    const launch = (...args: readonly string[]) =>
      start(process.execPath, ["--import", OLDER, join(folder, "bin/mycelium.js"), ...args]);
    const plain = launch("a", "--b c");
    expect(await plain.ended).toEqual({ code: 33, signal: null });
    expect(JSON.parse(plain.printed.stdout)).toEqual({
      args: ["a", "--b c"],
      node: process.versions.node,
    });
    expect(await launch("die").ended).toEqual({ code: null, signal: "SIGKILL" });
    const waiting = launch("wait");
    await eventually("it waits", () => waiting.printed.stdout !== "");
    waiting.process.kill("SIGTERM");
    expect(await waiting.ended).toEqual({ code: 77, signal: null });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("an older Node without another says what is needed and how to get it", async () => {
  const folder = await makeInstallation({ "dist/cli/main.js": MAIN_THAT_TELLS });
  try {
    await chmod(join(folder, "bin/mycelium.js"), 0o755);
    const child = start(process.execPath, ["--import", OLDER, join(folder, "bin/mycelium.js")]);
    expect(await child.ended).toEqual({ code: 2, signal: null });
    expect(child.printed.stdout).toBe("");
    expect(child.printed.stderr).toContain("needs Node 24 or newer; this is 20.20.2");
    expect(child.printed.stderr).toContain("Next: ");
  } finally {
    await rm(folder, { recursive: true });
  }
});
