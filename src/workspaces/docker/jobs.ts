import { randomUUID } from "node:crypto";
import { constants } from "node:os";
import type { Result } from "../../domain/failure.ts";
import type { JobReading, JobReadRequest, JobRequest } from "../lasting-workspace.ts";
import type { ExecEnding } from "../workspace.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { identityOf, USER } from "./docker-workspace.ts";
import { GuestLost, GuestRefusal, type GuestConnection } from "./guest-connection.ts";
import type { GuestPool } from "./guest-pool.ts";
import { GUEST } from "./layout.ts";

/** The root's in each container: no command can write there. */
const FOLDER = "/var/lib/mycelium/jobs";
const JOB = /^[0-9a-f-]{36}$/;
const READ_TIMEOUT_MS = 60_000;
const ALIVE = 0;

export interface JobsMeans {
  readonly id: string;
  readonly pool: GuestPool;
  readonly env: () => Readonly<Record<string, string>>;
}

/** Starts a command that an agent keeps on its own, with its output in files of the container. */
export async function startJob(
  { id, pool, env }: JobsMeans,
  request: JobRequest,
): Promise<Result<{ readonly job: string }>> {
  const job = randomUUID();
  const { command, cwd, stdin, timeoutMs } = request;
  const wanted = {
    ...USER,
    cwd: cwd ?? GUEST.repository,
    command: typeof command === "string" ? (["/bin/sh", "-c", command] as const) : command,
    env: { ...env(), ...request.env, ...identityOf(id) },
    stdin,
    timeoutMs,
  };
  try {
    await pool.use((guest) => guest.startJob(`${FOLDER}/${job}`, wanted));
  } catch (error) {
    if (!(error instanceof GuestLost)) throw error;
    return pool.useAfterLoss((guest) => settleJob(guest, job));
  }
  return { ok: true, value: { job } };
}

/** Whoever started it did not hear whether it began: it did, or it never will. */
async function settleJob(
  guest: GuestConnection,
  job: string,
): Promise<Result<{ readonly job: string }>> {
  const hasBegun = await guest.hasJobBegun(`${FOLDER}/${job}`);
  const ending = hasBegun ? await readEnding(guest, job) : "missing";
  if (ending !== "missing" && ending?.kind !== "unstartable") return { ok: true, value: { job } };
  const why = ending === "missing" ? "it had not begun" : ending.message;
  return workspaceFailure(`the connection was lost while the job was started: ${why}`, {
    hint: "start it again: nothing of it runs",
    details: { reason: "lost" },
  });
}

export async function readJob(
  { pool }: JobsMeans,
  request: JobReadRequest,
): Promise<Result<JobReading>> {
  const { job, bytesMax } = request;
  if (!JOB.test(job)) return noSuchJob(job);
  return pool.use(async (guest) => {
    // How it ended is looked up first: what is read after that is all that there will be.
    const ending = await readEnding(guest, job);
    if (ending === "missing") return noSuchJob(job);
    const stdout = await readPart(guest, `${job}/stdout`, request.stdoutFrom, bytesMax);
    const stderr = await readPart(guest, `${job}/stderr`, request.stderrFrom, bytesMax);
    const value = {
      ending,
      stdout: stdout.content,
      stderr: stderr.content,
      stdoutBytes: stdout.bytes,
      stderrBytes: stderr.bytes,
    };
    return { ok: true, value };
  });
}

export async function signalJob(
  { pool }: JobsMeans,
  { job, signal }: { readonly job: string; readonly signal: "SIGTERM" | "SIGKILL" | "SIGINT" },
): Promise<Result<void>> {
  if (!JOB.test(job)) return noSuchJob(job);
  await pool.use((guest) => guest.signalJob(`${FOLDER}/${job}`, constants.signals[signal]));
  return { ok: true, value: undefined };
}

async function readEnding(
  guest: GuestConnection,
  job: string,
): Promise<ExecEnding | null | "missing"> {
  const written = async (): Promise<ExecEnding | null | "missing"> => {
    const { content } = await readPart(guest, `${job}/ending`, 0, 100);
    return content.length === 0 ? null : parseEnding(content.toString());
  };
  const ending = await written();
  if (ending !== null) return ending;
  try {
    await guest.signalJob(`${FOLDER}/${job}`, ALIVE);
    return null;
  } catch (error) {
    if (!(error instanceof GuestRefusal)) throw error;
    if (error.reason === "missing") return "missing";
    // Its keeper is gone: it has just written how it ended, or was killed with the container.
    return (await written()) ?? { kind: "signalled", signal: "SIGKILL" };
  }
}

function parseEnding(text: string): ExecEnding | "missing" {
  if (text.startsWith("never")) return "missing";
  const [kind = "", code] = text.split(" ");
  if (kind === "timed-out") return { kind };
  if (kind === "unstartable") return { kind, message: text.slice(kind.length + 1) };
  if (kind === "exited") return { kind, code: Number(code) };
  const name = Object.entries(constants.signals).find(([, number]) => number === Number(code))?.[0];
  return { kind: "signalled", signal: name ?? `SIG${code}` };
}

async function readPart(
  guest: GuestConnection,
  path: string,
  from: number,
  bytesMax: number,
): Promise<{ readonly content: Buffer; readonly bytes: number }> {
  const pieces: Buffer[] = [];
  try {
    const asked = [0, 0, FOLDER, FOLDER, path, -1, from, bytesMax];
    const bytes = await guest.read("R", asked, READ_TIMEOUT_MS, (piece) => pieces.push(piece));
    return { content: Buffer.concat(pieces), bytes };
  } catch (error) {
    if (!(error instanceof GuestRefusal) || error.reason !== "missing") throw error;
    return { content: Buffer.alloc(0), bytes: 0 };
  }
}

function noSuchJob(job: string): Result<never> {
  return workspaceFailure(`there is no job ${job}`, { details: { job } });
}
