import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import {
  findAgain,
  makeEmpty,
  valueOf,
  type MakeLastingRig,
} from "../../test/support/docker-lasting-rig.ts";
import { isRunning, stubborn } from "../../test/support/workspace-rig.ts";
import type { JobReading, LastingWorkspace } from "./lasting-workspace.ts";

const FROM_START = { stdoutFrom: 0, stderrFrom: 0, bytesMax: 1_000_000 };

async function read(workspace: LastingWorkspace, job: string): Promise<JobReading> {
  return valueOf(await workspace.readJob({ job, ...FROM_START }));
}

async function ended(workspace: LastingWorkspace, job: string): Promise<JobReading> {
  await eventually("the job ends", async () => (await read(workspace, job)).ending !== null);
  return read(workspace, job);
}

/** Commands in the background. */
export function describeJobs(makeRig: MakeLastingRig): void {
  test("a job's streams are read apart, from any place, again and again, by any process", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    const command = 'read line; echo "out $line $WORD"; echo err >&2; exit 3';
    const request = { command, stdin: "hello\n", env: { WORD: "there" }, timeoutMs: 60_000 };
    const { job } = valueOf(await workspace.startJob(request));
    const other = await findAgain(rig);
    const whole = {
      ending: { kind: "exited", code: 3 },
      stdout: Buffer.from("out hello there\n"),
      stderr: Buffer.from("err\n"),
      stdoutBytes: 16,
      stderrBytes: 4,
    };
    expect(await ended(other, job)).toEqual(whole);
    expect(await read(workspace, job)).toEqual(whole);
    const part = { job, stdoutFrom: 4, stderrFrom: 4, bytesMax: 5 };
    expect(valueOf(await workspace.readJob(part))).toMatchObject({
      stdout: Buffer.from("hello"),
      stderr: Buffer.from(""),
      stdoutBytes: 16,
    });
  });

  test("a job outlives commands and the connection that started it", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    const command = "touch started; until test -e go; do sleep 0.01; done; echo gone on";
    const { job } = valueOf(await workspace.startJob({ command, timeoutMs: 60_000 }));
    await eventually(
      "it runs",
      async () => (await workspace.readFile("started", { bytesMax: 1 })).ok,
    );
    expect((await read(workspace, job)).ending).toBeNull();
    await workspace.exec({ command: "sleep 60 & true", timeoutMs: 60_000 });
    await workspace.writeFile("go", "");
    expect((await ended(workspace, job)).stdout.toString()).toBe("gone on\n");
  });

  test("a signal reaches the whole tree of a job", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    const { job } = valueOf(
      await workspace.startJob({ command: stubborn("inner"), timeoutMs: 60_000 }),
    );
    await eventually("it runs", async () => isRunning(workspace, "inner"));
    valueOf(await workspace.signalJob({ job, signal: "SIGKILL" }));
    // Its shell may see its child die first, and then exits by itself.
    expect(["signalled", "exited"]).toContain((await ended(workspace, job)).ending?.kind);
    expect(await isRunning(workspace, "inner")).toBe(false);
    expect(await workspace.signalJob({ job, signal: "SIGTERM" })).toMatchObject({ ok: false });
  });

  test("at its timeout a job is ended, and says so", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    const { job } = valueOf(await workspace.startJob({ command: "sleep 60", timeoutMs: 200 }));
    expect((await ended(workspace, job)).ending).toEqual({ kind: "timed-out" });
  });

  test("a job that was running when the workspace stopped was killed", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    const command = "echo begun; sleep 60";
    const { job } = valueOf(await workspace.startJob({ command, timeoutMs: 60_000 }));
    await eventually("it runs", async () => (await read(workspace, job)).stdoutBytes > 0);
    valueOf(await workspace.stop());
    valueOf(await workspace.start());
    expect(await read(workspace, job)).toMatchObject({
      ending: { kind: "signalled", signal: "SIGKILL" },
      stdout: Buffer.from("begun\n"),
    });
  });

  test("what is no job, or cannot start, is a failure", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    for (const job of ["no-such", "../../etc", "00000000-0000-0000-0000-000000000000"]) {
      expect(await workspace.readJob({ job, ...FROM_START })).toMatchObject({ ok: false });
      expect(await workspace.signalJob({ job, signal: "SIGTERM" })).toMatchObject({ ok: false });
    }
    const command = ["/no/such/program"] as const;
    expect(await workspace.startJob({ command, timeoutMs: 1000 })).toMatchObject({ ok: false });
  });
}
