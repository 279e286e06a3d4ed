import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { endMarkedProcesses, isAlive, processIdentity, runProcess } from "./process.ts";
import { findProcess, listProcesses, parsePs, startOf } from "./process-table.ts";
import { endTree, mayHaveLeftovers } from "./process-tree.ts";

const env = { PATH: "/usr/local/bin:/usr/bin:/bin" };

interface Sleeper extends AsyncDisposable {
  readonly pid: number;
}

function sleeper(more: Record<string, string> = {}): Sleeper {
  const child = spawn("sleep", ["60"], {
    detached: true,
    env: { ...env, ...more },
    stdio: "ignore",
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

test("a pid that now stands for another process is not hit", async () => {
  await using other = sleeper();
  const start = (startOf(other.pid) ?? 0) - 1;
  const root = { pid: other.pid, start, marker: null, startedAtMs: 0 };
  expect(await endTree(root, 0)).toBe(0);
  expect(findProcess(other.pid)).not.toBeNull();
});

test("a tree is ended by pid and start, and counted", async () => {
  await using one = sleeper();
  const root = { pid: one.pid, start: startOf(one.pid), marker: null, startedAtMs: 0 };
  expect(await endTree(root, 0)).toBe(1);
  expect(findProcess(one.pid)).toBeNull();
});

test("recovery ends what carries exactly the marker, with its unmarked children", async () => {
  await using folder = await temporaryFolder();
  const child = `env -i sh -c 'echo $$ > ${folder.path}/new; mv ${folder.path}/new ${folder.path}/pid; exec sleep 60'`;
  const marked = spawn("sh", ["-c", `${child}; :`], {
    detached: true,
    env: { ...env, WORKSPACE: folder.path },
    stdio: "ignore",
  });
  await using longer = sleeper({ WORKSPACE: `${folder.path}2` });
  await using elsewhere = sleeper({ OTHER: "x", NOT_WORKSPACE: folder.path });
  const pid = (): number => Number(readFileSync(`${folder.path}/pid`, "utf8"));
  await eventually("the child runs", () => {
    try {
      return pid() > 0;
    } catch {
      return false;
    }
  });
  expect(await endMarkedProcesses(`WORKSPACE=${folder.path}`)).toBe(2);
  expect(findProcess(pid())).toBeNull();
  expect(findProcess(marked.pid ?? 0)).toBeNull();
  expect(findProcess(longer.pid)).not.toBeNull();
  expect(findProcess(elsewhere.pid)).not.toBeNull();
  expect(await endMarkedProcesses(`WORKSPACE=${folder.path}`)).toBe(0);
});

test("recovery never ends itself or its ancestors", async () => {
  await using folder = await temporaryFolder();
  const module = new URL("process-tree.ts", import.meta.url).href;
  const code = `import { endMarkedProcesses } from ${JSON.stringify(module)};
    console.log(await endMarkedProcesses("WORKSPACE=mine"));`;
  const result = await runProcess({
    command: [
      "/bin/sh",
      "-c",
      `"$0" --input-type=module -e "$1"; echo survived`,
      process.execPath,
      code,
    ],
    cwd: folder.path,
    env: { ...env, WORKSPACE: "mine" },
    timeoutMs: 30_000,
    outputBytesMax: 10_000,
  });
  expect(result.stderr.bytes.toString()).toBe("");
  expect(result.stdout.bytes.toString()).toBe("0\nsurvived\n");
});

test("an ended group without leftovers is known without a search", async () => {
  const one = sleeper();
  const root = { pid: one.pid, start: startOf(one.pid), marker: "A=b", startedAtMs: 0 };
  expect(mayHaveLeftovers(root)).toBe(true);
  await one[Symbol.asyncDispose]();
  expect(mayHaveLeftovers(root)).toBe(false);
});

test("an identity holds for the life of a process and no longer", async () => {
  const one = sleeper();
  const identity = processIdentity(one.pid) ?? "none";
  expect(identity).toMatch(/^\d+@\S+$/);
  expect(isAlive(one.pid, identity)).toBe(true);
  expect(isAlive(process.pid, identity)).toBe(false);
  await one[Symbol.asyncDispose]();
  expect(isAlive(one.pid, identity)).toBe(false);
  expect(processIdentity(one.pid)).toBeNull();
});

test("a process that ended but was not waited for is not alive", async () => {
  const script = "exec 3<&0; (read -r line <&3) & echo $!; exec sleep 60";
  const parent = spawn("sh", ["-c", script], { env, stdio: ["pipe", "pipe", "ignore"] });
  try {
    const said = await new Promise<Buffer>((resolve) => parent.stdout.once("data", resolve));
    const child = Number(said.toString());
    const commandOf = (): string => readFileSync(`/proc/${parent.pid}/comm`, "utf8").trim();
    await eventually("nobody waits for the child any more", () => commandOf() === "sleep");
    expect(processIdentity(child)).not.toBeNull();
    parent.stdin.end("\n");
    await eventually("the child ended", () => processIdentity(child) === null);
    expect(readFileSync(`/proc/${child}/stat`, "utf8")).toContain(") Z ");
  } finally {
    parent.kill("SIGKILL");
  }
});

test("the table holds this process with its parent", () => {
  const own = listProcesses().find(({ pid }) => pid === process.pid);
  expect(own).toMatchObject({ parent: process.ppid });
});

test("the output of ps gives the same table, without zombies", () => {
  const text = [
    "    1     0     1 Ss   Fri Nov 20 11:33:00 2026",
    " 4317    12  4317 R+   Fri Nov 20 12:00:01 2026",
    " 4318    12  4317 Z    Fri Nov 20 12:00:02 2026",
    "",
  ].join("\n");
  expect(parsePs(text)).toEqual([
    { pid: 1, parent: 0, group: 1, session: 0, start: Date.parse("2026-11-20T11:33:00Z") },
    { pid: 4317, parent: 12, group: 4317, session: 0, start: Date.parse("2026-11-20T12:00:01Z") },
  ]);
});
