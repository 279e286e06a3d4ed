import { randomBytes } from "node:crypto";
import { constants } from "node:os";
import type { Result } from "../../domain/failure.ts";
import type { JobReading, JobReadRequest, JobRequest } from "../lasting-workspace.ts";
import type { ExecEnding } from "../workspace.ts";
import { failureWith, workspaceFailure } from "../workspace-failure.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { endingOf, packCommand } from "./agent-exec.ts";
import { text, u32, u64 } from "./agent-frames.ts";
import { ask, writeGuestFile } from "./agent-requests.ts";
import { JOBS } from "./guest.ts";

const JOB_ID = /^job-[0-9a-f]{10}$/;
const READ_BYTES_MAX = 16 * 1024 * 1024;
const TIMEOUT_MS_MAX = 2 ** 32 - 1;
/** Larger than any file: of a job's output only a piece is ever asked for. */
const ANY_SIZE = 2n ** 63n - 1n;

/** A job's input as it is, whatever its size; the guest goes on with it alone. */
export async function startGuestJob(
  agent: AgentConnection,
  request: Omit<JobRequest, "cwd" | "env"> & {
    /** Absolute. */
    readonly cwd: string;
    /** The whole of it. */
    readonly env: Readonly<Record<string, string>>;
  },
): Promise<Result<{ readonly job: string }>> {
  const job = `job-${randomBytes(5).toString("hex")}`;
  const folder = `${JOBS}/${job}`;
  const payload = packCommand({
    ...request,
    env: { ...request.env, MYCELIUM_JOB_ID: job },
    job: { folder, timeoutMs: Math.min(request.timeoutMs, TIMEOUT_MS_MAX) },
  });
  if (typeof payload === "string") return workspaceFailure(payload);
  const content = Buffer.from(request.stdin ?? "");
  const path = `${folder}/stdin`;
  const written = await writeGuestFile(agent, { path, content, mode: 0o600 });
  if (!written.ok) return written;
  const started = await ask(agent, { type: "X", payload });
  return started.ok ? { ok: true, value: { job } } : started;
}

/** Reads on from offsets, at most `bytesMax` of each stream. */
export async function readGuestJob(
  agent: AgentConnection,
  { job, stdoutFrom, stderrFrom, bytesMax }: JobReadRequest,
): Promise<Result<JobReading>> {
  if (!JOB_ID.test(job)) return missingJob(job);
  const folder = `${JOBS}/${job}`;
  const length = Math.min(bytesMax, READ_BYTES_MAX);
  // Asked first, and answered in order: what is read afterwards is then all that there is.
  const [ending, stdout, stderr] = await Promise.all([
    askForEnding(agent, folder),
    readPiece(agent, { path: `${folder}/stdout`, from: stdoutFrom, length }),
    readPiece(agent, { path: `${folder}/stderr`, from: stderrFrom, length }),
  ]);
  if (!ending.ok) {
    return ending.failure.details["reason"] === "missing" ? missingJob(job) : ending;
  }
  if (!stdout.ok) return stdout;
  if (!stderr.ok) return stderr;
  return {
    ok: true,
    value: {
      ending: ending.value,
      stdout: stdout.value.bytes,
      stderr: stderr.value.bytes,
      stdoutBytes: stdout.value.total,
      stderrBytes: stderr.value.total,
    },
  };
}

/** Refuses where the job is unknown or has ended. */
export async function signalGuestJob(
  agent: AgentConnection,
  { job, signal }: { readonly job: string; readonly signal: "SIGTERM" | "SIGKILL" | "SIGINT" },
): Promise<Result<void>> {
  if (!JOB_ID.test(job)) return missingJob(job);
  const folder = `${JOBS}/${job}`;
  const ending = await askForEnding(agent, folder);
  if (!ending.ok) {
    return ending.failure.details["reason"] === "missing" ? missingJob(job) : ending;
  }
  if (ending.value !== null) return workspaceFailure(`${job} has ended already`);
  const payload = Buffer.concat([u32(constants.signals[signal]), text(folder)]);
  const sent = await ask(agent, { type: "S", payload });
  return sent.ok ? { ok: true, value: undefined } : sent;
}

/** `null` while it runs. One whose machine ended under it was ended by force. */
async function askForEnding(
  agent: AgentConnection,
  folder: string,
): Promise<Result<ExecEnding | null>> {
  let said = "";
  const onData = (chunk: Buffer): void => void (said += chunk.toString());
  const told = await ask(agent, { type: "J", payload: text(folder), onData });
  if (!told.ok) return told;
  if (told.value === 0) return { ok: true, value: null };
  const [how, value] = said.trim().split(" ");
  if (how === "timed-out") return { ok: true, value: { kind: "timed-out" } };
  if (how === "exited" || how === "signalled") {
    return { ok: true, value: endingOf(how === "signalled", Number(value)) };
  }
  return { ok: true, value: { kind: "signalled", signal: "SIGKILL" } };
}

async function readPiece(
  agent: AgentConnection,
  { path, from, length }: { path: string; from: number; length: number },
): Promise<Result<{ readonly bytes: Buffer; readonly total: number }>> {
  const chunks: Buffer[] = [];
  const payload = Buffer.concat([u64(from), u64(length), u64(ANY_SIZE), text(path)]);
  const onData = (chunk: Buffer): void => void chunks.push(chunk);
  const read = await ask(agent, { type: "R", payload, onData });
  if (read.ok) return { ok: true, value: { bytes: Buffer.concat(chunks), total: read.value } };
  // A job that was ended before it began has said nothing.
  const isMissing = read.failure.details["reason"] === "missing";
  return isMissing ? { ok: true, value: { bytes: Buffer.alloc(0), total: 0 } } : read;
}

function missingJob(job: string): Result<never> {
  return failureWith("workspace-missing", `there is no job ${JSON.stringify(job)}`, {
    details: { job, reason: "missing" },
  });
}
