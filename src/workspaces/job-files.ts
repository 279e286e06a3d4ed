import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Result } from "../domain/failure.ts";
import { systemClock } from "../lib/clock.ts";
import { isAlive, startDetached, type Detached } from "../lib/process.ts";
import { readingConfined } from "./confined-files.ts";
import { readJson } from "./json-file.ts";
import type { JobReading, JobReadRequest } from "./lasting-workspace.ts";
import { JOB_FILES } from "./job-order.ts";
import { exists } from "./local-layout.ts";
import type { ExecEnding } from "./workspace.ts";
import { failureWith, workspaceFailure } from "./workspace-failure.ts";

const JOB_ID = /^job-[0-9a-f]{10}$/;
const START_WAIT_MS = 20_000;
const START_PAUSE_MS = 5;
const READ_BYTES_MAX = 16 * 1024 * 1024;

const runnerSchema = z.object({ pid: z.int(), identity: z.string().nullable() });

const endingSchema: z.ZodType<ExecEnding> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("exited"), code: z.int() }),
  z.object({ kind: z.literal("signalled"), signal: z.string() }),
  z.object({ kind: z.literal("timed-out") }),
  z.object({ kind: z.literal("aborted") }),
  z.object({ kind: z.literal("unstartable"), message: z.string() }),
]);

/** A new job's name and its folder below `jobs`, which is made. */
export function makeJobFolder(jobs: string): { readonly job: string; readonly folder: string } {
  const job = `job-${randomBytes(5).toString("hex")}`;
  const folder = join(jobs, job);
  mkdirSync(folder, { recursive: true });
  return { job, folder };
}

export interface RunnerStart {
  /** The program that reads its order from its standard input and keeps the job's files. */
  readonly runner: string;
  /** The job's. */
  readonly folder: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly order: object;
}

/** Starts a job's runner, which goes on by itself, and answers once it is known by its files. */
export async function startRunner(start: RunnerStart): Promise<Result<void>> {
  const runner = await startDetached({
    command: [process.execPath, start.runner],
    cwd: start.cwd,
    env: start.env,
    input: JSON.stringify(start.order),
  });
  if (typeof runner === "string") return workspaceFailure(runner);
  if (await hasBegun(start.folder, runner)) return { ok: true, value: undefined };
  return workspaceFailure("the runner of the job did not begin");
}

async function hasBegun(folder: string, runner: Detached): Promise<boolean> {
  const deadline = systemClock.monotonic() + START_WAIT_MS;
  const isThere = (): boolean => exists(join(folder, JOB_FILES.runner));
  while (!isThere() && runner.isRunning() && systemClock.monotonic() < deadline) {
    await systemClock.sleep(START_PAUSE_MS);
  }
  return isThere();
}

/** Reads on from offsets, at most `bytesMax` of each stream. */
export async function readJobFiles(
  jobs: string,
  request: JobReadRequest,
): Promise<Result<JobReading>> {
  const folder = jobFolder(jobs, request.job);
  if (!folder.ok) return folder;
  // Asked first: what is read afterwards is then all that there is.
  const ending = endingOf(folder.value);
  const bytesMax = Math.min(request.bytesMax, READ_BYTES_MAX);
  const read = (name: "stdout" | "stderr", from: number): Promise<Result<Piece>> =>
    readPiece(folder.value, { name, from, bytesMax });
  const stdout = await read("stdout", request.stdoutFrom);
  if (!stdout.ok) return stdout;
  const stderr = await read("stderr", request.stderrFrom);
  if (!stderr.ok) return stderr;
  return {
    ok: true,
    value: {
      ending,
      stdout: stdout.value.bytes,
      stderr: stderr.value.bytes,
      stdoutBytes: stdout.value.total,
      stderrBytes: stderr.value.total,
    },
  };
}

/** The folder of a job that still runs. Refuses where it is unknown or has ended. */
export function runningJob(jobs: string, job: string): Result<string> {
  const folder = jobFolder(jobs, job);
  if (folder.ok && endingOf(folder.value) !== null) {
    return workspaceFailure(`${job} has ended already`);
  }
  return folder;
}

export function hasJobs(jobs: string): boolean {
  return exists(jobs) && readdirSync(jobs).length > 0;
}

function jobFolder(jobs: string, job: string): Result<string> {
  const folder = join(jobs, job);
  if (JOB_ID.test(job) && exists(folder)) return { ok: true, value: folder };
  return failureWith("workspace-missing", `there is no job ${JSON.stringify(job)}`, {
    details: { job, reason: "missing" },
  });
}

function endingOf(folder: string): ExecEnding | null {
  const written = (): ExecEnding | null => readJson(join(folder, JOB_FILES.ending), endingSchema);
  const ending = written();
  if (ending !== null) return ending;
  const runner = readJson(join(folder, JOB_FILES.runner), runnerSchema);
  if (runner === null) return { kind: "unstartable", message: "who started it was ended first" };
  if (runner.identity !== null && isAlive(runner.pid, runner.identity)) return null;
  // It may have written its last word between the two looks.
  return written() ?? { kind: "signalled", signal: "SIGKILL" };
}

interface Piece {
  readonly bytes: Buffer;
  readonly total: number;
}

async function readPiece(
  folder: string,
  { name, from, bytesMax }: { name: "stdout" | "stderr"; from: number; bytesMax: number },
): Promise<Result<Piece>> {
  if (!exists(join(folder, JOB_FILES[name]))) {
    return { ok: true, value: { bytes: Buffer.alloc(0), total: 0 } };
  }
  return readingConfined({ root: folder, base: folder }, JOB_FILES[name], async (file) => {
    const { size: total } = await file.stat();
    const bytes = Buffer.alloc(Math.max(0, Math.min(bytesMax, total - from)));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
    return { bytes: bytes.subarray(0, bytesRead), total };
  });
}
