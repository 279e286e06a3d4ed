import { systemClock } from "../lib/clock.ts";
import { endMarkedProcesses, signalMarkedProcesses } from "../lib/process.ts";
import type { Result } from "../domain/failure.ts";
import { makeJobFolder, runningJob, startRunner } from "./job-files.ts";
import type { JobRequest } from "./lasting-workspace.ts";
import type { LocalJobOrder } from "./job-order.ts";
import type { LocalLayout } from "./local-layout.ts";

/** Beside this file, as a source or built. */
const RUNNER = import.meta.filename.replace(/local-jobs(\.[jt]s)$/, "local-job-runner$1");

export interface JobStart {
  readonly layout: LocalLayout;
  readonly request: JobRequest;
  /** Real. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** What marks every process of the workspace. */
  readonly identity: Readonly<Record<string, string>>;
  readonly outputBytesMax: number;
}

/** Starts a runner that goes on by itself, and answers once it is known by its files. */
export async function startLocalJob(start: JobStart): Promise<Result<{ readonly job: string }>> {
  const { layout, request } = start;
  const { job, folder } = makeJobFolder(layout.jobs);
  const { command, stdin, timeoutMs } = request;
  const order: LocalJobOrder = {
    folder,
    command: typeof command === "string" ? ["/bin/sh", "-c", command] : command,
    cwd: start.cwd,
    env: { ...start.env, ...request.env, ...start.identity, MYCELIUM_JOB_ID: job },
    stdin: stdin === undefined ? null : Buffer.from(stdin).toString("base64"),
    timeoutMs,
    marker: `MYCELIUM_JOB_ID=${job}`,
    outputBytesMax: start.outputBytesMax,
  };
  const runner = { runner: RUNNER, folder, cwd: layout.folder, env: start.identity, order };
  const started = await startRunner(runner);
  return started.ok ? { ok: true, value: { job } } : started;
}

const BEGIN_WAIT_MS = 20_000;
const BEGIN_PAUSE_MS = 5;

/** Refuses where the job is unknown or has ended. */
export async function signalLocalJob(
  layout: LocalLayout,
  { job, signal }: { readonly job: string; readonly signal: "SIGTERM" | "SIGKILL" | "SIGINT" },
): Promise<Result<void>> {
  const running = runningJob(layout.jobs, job);
  if (!running.ok) return running;
  const marker = `MYCELIUM_JOB_ID=${job}`;
  const send = async (): Promise<number> =>
    signal === "SIGKILL" ? endMarkedProcesses(marker) : signalMarkedProcesses(marker, signal);
  // Its runner may be there before the command is.
  const deadline = systemClock.monotonic() + BEGIN_WAIT_MS;
  while ((await send()) === 0 && runningJob(layout.jobs, job).ok) {
    if (systemClock.monotonic() > deadline) break;
    await systemClock.sleep(BEGIN_PAUSE_MS);
  }
  return { ok: true, value: undefined };
}
