import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { makeLasting, value, type LastingMeans } from "../../test/support/lasting-rig.ts";
import { ENV, isRunning, stubborn } from "../../test/support/workspace-rig.ts";
import type { JobReading, LastingWorkspace } from "./lasting-workspace.ts";

const TIMEOUT_MS = 60_000;
const BYTES_MAX = 1_000_000;

/** Commands in the background: they go on when their starter ends, and are read again and again. */
export function describeJobs({ makeRig, seed }: LastingMeans): void {
  test("a job's streams and ending are there to be read, also again", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const job = await begin(workspace, "cat; echo err >&2; pwd; echo $EXTRA; exit 7");
    const first = await endOf(workspace, job);
    expect(first.ending).toEqual({ kind: "exited", code: 7 });
    expect(first.stdout.toString()).toBe(`given${workspace.repositoryDir}/src\nmore\n`);
    expect(first).toMatchObject({ stdoutBytes: first.stdout.length, stderrBytes: 4 });
    expect(await read(workspace, job)).toEqual(first);
  });

  test("is read on from offsets, in pieces", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const job = await begin(workspace, "printf 0123456789; printf abc >&2");
    await endOf(workspace, job);
    const request = { job, stdoutFrom: 4, stderrFrom: 1, bytesMax: 3 };
    const other = (await rig.reopen().find({ id: "one", env: ENV })) ?? workspace;
    expect(other).not.toBe(workspace);
    const reading = value(await other.readJob(request));
    expect([reading.stdout, reading.stderr].map(String)).toEqual(["456", "bc"]);
    expect(reading).toMatchObject({ stdoutBytes: 10, stderrBytes: 3 });
    const beyond = value(await workspace.readJob({ ...request, stdoutFrom: 99 }));
    expect(beyond.stdout.length).toBe(0);
  });

  test("what it says so far can be read while it runs", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const command = "echo begun; until test -e go; do sleep 0.02; done; echo done";
    const job = await begin(workspace, command);
    await eventually("it speaks", async () => (await read(workspace, job)).stdoutBytes > 0);
    expect(await read(workspace, job)).toMatchObject({ ending: null, stdoutBytes: 6 });
    await workspace.writeFile(`${workspace.repositoryDir}/src/go`, "");
    const ended = await endOf(workspace, job);
    expect(ended.stdout.toString()).toBe("begun\ndone\n");
  });

  test("another process reads it, and signals its whole tree", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const command = `cd ..; ${stubborn("inner")} & ${stubborn("outer")}`;
    const job = await begin(workspace, command);
    await eventually("it runs", async () => isRunning(workspace, "outer"));
    await eventually("it runs", async () => isRunning(workspace, "inner"));
    const found = await rig.reopen().find({ id: "one", env: ENV });
    expect(await found?.signalJob({ job, signal: "SIGKILL" })).toMatchObject({ ok: true });
    expect((await endOf(workspace, job)).ending?.kind).toMatch(/exited|signalled/);
    expect(await isRunning(workspace, "inner")).toBe(false);
    expect(await isRunning(workspace, "outer")).toBe(false);
    expect(await workspace.signalJob({ job, signal: "SIGTERM" })).toMatchObject({ ok: false });
  });

  test("a signal that is handled is no death", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const command = "trap 'echo heard; exit 3' INT; echo up; while :; do sleep 0.02; done";
    const job = await begin(workspace, command);
    await eventually("it is up", async () => (await read(workspace, job)).stdoutBytes > 0);
    await workspace.signalJob({ job, signal: "SIGINT" });
    const { ending, stdout } = await endOf(workspace, job);
    expect(ending).toEqual({ kind: "exited", code: 3 });
    expect(stdout.toString()).toBe("up\nheard\n");
  });

  test("at its timeout its whole tree is ended", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const started = await workspace.startJob({ command: stubborn("daemon"), timeoutMs: 300 });
    expect((await endOf(workspace, value(started).job)).ending).toEqual({ kind: "timed-out" });
    expect(await isRunning(workspace, "daemon")).toBe(false);
  });

  test("goes on beside other commands, and ends with the workspace", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const job = await begin(workspace, `cd ..; ${stubborn("daemon")}`);
    await eventually("it runs", async () => isRunning(workspace, "daemon"));
    await workspace.exec({ command: "sleep 60 & true", timeoutMs: TIMEOUT_MS });
    expect(await isRunning(workspace, "daemon")).toBe(true);
    await workspace.stop();
    await workspace.start();
    expect(await isRunning(workspace, "daemon")).toBe(false);
    expect((await read(workspace, job)).ending).not.toBeNull();
  });

  test("one that was killed by a stop says so, and what it had said stays", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const job = await begin(workspace, "echo begun; sleep 60");
    await eventually("it speaks", async () => (await read(workspace, job)).stdoutBytes > 0);
    value(await workspace.stop());
    value(await workspace.start());
    expect(await read(workspace, job)).toMatchObject({
      ending: { kind: "signalled", signal: "SIGKILL" },
      stdout: Buffer.from("begun\n"),
    });
  });

  test("a flood is kept whole", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const job = await begin(workspace, "head -c 100000000 /dev/zero; printf end");
    await eventually("it ends", async () => (await read(workspace, job, 1)).ending !== null);
    const request = { job, stdoutFrom: 99_999_998, stderrFrom: 0, bytesMax: 100 };
    const { stdout, stdoutBytes } = value(await workspace.readJob(request));
    expect({ text: stdout.toString(), stdoutBytes }).toEqual({
      text: "\0\0end",
      stdoutBytes: 100_000_003,
    });
  });

  test.each(["missing", "../one", "../../etc", "00000000-0000-0000-0000-000000000000", ""])(
    "there is no job %j",
    async (job) => {
      await using rig = await makeRig();
      const workspace = await makeLasting(rig, null);
      const request = { job, stdoutFrom: 0, stderrFrom: 0, bytesMax: BYTES_MAX };
      expect(await workspace.readJob(request)).toMatchObject({ ok: false });
      expect(await workspace.signalJob({ job, signal: "SIGKILL" })).toMatchObject({ ok: false });
    },
  );

  test("a program that is missing makes a job that could not start", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    const started = await workspace.startJob({ command: ["/no/such"], timeoutMs: TIMEOUT_MS });
    if (started.ok) {
      const { ending } = await endOf(workspace, started.value.job);
      expect(ending).toMatchObject({ kind: "unstartable" });
    } else {
      expect(started.failure.message).toContain("/no/such");
    }
  });
}

async function begin(workspace: LastingWorkspace, command: string): Promise<string> {
  const started = await workspace.startJob({
    command,
    cwd: "src",
    env: { EXTRA: "more" },
    stdin: "given",
    timeoutMs: TIMEOUT_MS,
  });
  return value(started).job;
}

async function read(
  workspace: LastingWorkspace,
  job: string,
  bytesMax = BYTES_MAX,
): Promise<JobReading> {
  return value(await workspace.readJob({ job, stdoutFrom: 0, stderrFrom: 0, bytesMax }));
}

async function endOf(workspace: LastingWorkspace, job: string): Promise<JobReading> {
  await eventually("the job ends", async () => (await read(workspace, job)).ending !== null);
  return read(workspace, job);
}
