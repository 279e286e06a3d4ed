import { systemClock } from "../../lib/clock.ts";
import type { Result } from "../../domain/failure.ts";
import { endMarkedProcesses, signalMarkedProcesses } from "../../lib/process.ts";
import { makeJobFolder, runningJob, startRunner } from "../job-files.ts";
import type { JobOrder } from "../job-order.ts";
import type { JobRequest } from "../lasting-workspace.ts";
import type { SandboxCgroups } from "./cgroups.ts";
import { signalMembers } from "./members.ts";
import { findRunning, type SandboxPlace } from "./runtime.ts";
import { markerVariable } from "./start.ts";

/** Beside this file, as a source or built. */
const RUNNER = import.meta.filename.replace(/jobs(\.[jt]s)$/, "job-runner$1");

/** What the runner reads, beside what all runners do. */
export interface SandboxJobOrder extends JobOrder {
  /** Where the sandbox is. */
  readonly root: string;
  readonly id: string;
  /** The job's, by which its processes are known. */
  readonly job: string;
  /** Inside. */
  readonly cwd?: string | undefined;
}

export interface SandboxJobStart {
  readonly place: SandboxPlace;
  readonly request: JobRequest;
  /** The whole environment of the command. */
  readonly env: Readonly<Record<string, string>>;
  readonly outputBytesMax: number;
}

/** Starts a runner that goes on by itself until its sandbox ends. */
export async function startSandboxJob(
  start: SandboxJobStart,
): Promise<Result<{ readonly job: string }>> {
  const { place, request, env, outputBytesMax } = start;
  const { job, folder } = makeJobFolder(place.layout.jobs);
  const { command, stdin, timeoutMs, cwd } = request;
  const order: SandboxJobOrder = {
    root: place.home.root,
    id: place.id,
    job,
    folder,
    command: typeof command === "string" ? ["/bin/sh", "-c", command] : command,
    cwd,
    env: { ...env, MYCELIUM_JOB_ID: job },
    stdin: stdin === undefined ? null : Buffer.from(stdin).toString("base64"),
    timeoutMs,
    outputBytesMax,
  };
  const marker = markerVariable(place.layout.folder);
  const started = await startRunner({ runner: RUNNER, folder, cwd: "/", env: marker, order });
  return started.ok ? { ok: true, value: { job } } : started;
}

const END_WAIT_MS = 5_000;
const END_PAUSE_MS = 5;

/** Reaches what runs inside alone: who waits for it outside tells how it ended. */
export async function signalSandboxJob(
  { layout }: SandboxPlace,
  cgroups: SandboxCgroups,
  { job, signal }: { readonly job: string; readonly signal: "SIGTERM" | "SIGKILL" | "SIGINT" },
): Promise<Result<void>> {
  const found = runningJob(layout.jobs, job);
  if (!found.ok) return found;
  const marker = `MYCELIUM_JOB_ID=${job}`;
  const running = findRunning(layout);
  if (signal === "SIGKILL") {
    // Its runner may be there before the command is: what comes late is ended too.
    const deadline = systemClock.monotonic() + END_WAIT_MS;
    do {
      await cgroups.end(job);
      await endMarkedProcesses(marker);
      await systemClock.sleep(END_PAUSE_MS);
    } while (runningJob(layout.jobs, job).ok && systemClock.monotonic() < deadline);
  } else if (cgroups.tracksCommands && running !== null) {
    signalMembers(running, cgroups.members(job), signal);
  } else {
    signalMarkedProcesses(marker, signal);
  }
  return { ok: true, value: undefined };
}
