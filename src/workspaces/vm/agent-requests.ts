import type { Result } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { text, u32, u64 } from "./agent-frames.ts";

const ANSWER_TIMEOUT_MS = 60_000;

/** How much of a file one request brings. */
const PIECE_BYTES = 4 * 1024 * 1024;

interface AskRequest {
  readonly type: string;
  readonly payload: Buffer;
  /** Written after it. */
  readonly input?: Buffer;
  readonly onData?: (chunk: Buffer) => void;
  readonly timeoutMs?: number;
}

/**
 * One request and its answer's number. A refusal's `details.reason` is `missing`, `outside`,
 * `not-a-file`, `too-large` or the system's own name.
 */
export async function ask(agent: AgentConnection, request: AskRequest): Promise<Result<number>> {
  if (agent.isClosed) return workspaceFailure("the machine is gone");
  const { promise, resolve } = Promise.withResolvers<Result<number>>();
  const channel = agent.openChannel(request.type, request.payload, ({ type, payload }) => {
    if (type === "B") request.onData?.(payload);
    if (type === "D") resolve({ ok: true, value: Number(payload.readBigUInt64LE(0)) });
    if (type === "!") resolve(refusal(payload.toString()));
    if (type === "U") resolve(workspaceFailure(payload.toString()));
  });
  if (request.input !== undefined) channel.feed(request.input);
  const stopWaiting = new AbortController();
  const timeoutMs = request.timeoutMs ?? ANSWER_TIMEOUT_MS;
  try {
    return await Promise.race([
      promise,
      agent.closed.then(() => workspaceFailure("the machine is gone")),
      systemClock
        .sleep(timeoutMs, stopWaiting.signal)
        .then(() => workspaceFailure("the machine's agent does not answer")),
    ]);
  } finally {
    stopWaiting.abort();
    channel.close();
  }
}

function refusal(answer: string): Result<number> {
  const end = answer.indexOf("\n");
  const reason = answer.slice(0, end);
  return workspaceFailure(answer.slice(end + 1), { details: { reason } });
}

export interface ReadRequest {
  readonly path: string;
  /** A larger file is refused. */
  readonly bytesMax: number;
  /** Gets the file in order, a few megabytes at a time. */
  readonly onPiece: (piece: Buffer) => Promise<void> | void;
}

/** Brings a whole file, in pieces; answers how large it was. */
export async function readGuestFile(
  agent: AgentConnection,
  { path, bytesMax, onPiece }: ReadRequest,
): Promise<Result<number>> {
  let at = 0;
  for (;;) {
    const chunks: Buffer[] = [];
    const payload = Buffer.concat([u64(at), u64(PIECE_BYTES), u64(bytesMax), text(path)]);
    const onData = (chunk: Buffer): void => void chunks.push(chunk);
    const answer = await ask(agent, { type: "R", payload, onData });
    if (!answer.ok) return answer;
    const piece = Buffer.concat(chunks);
    at += piece.length;
    if (at > bytesMax) return workspaceFailure(`${path} grew beyond ${bytesMax} bytes`);
    await onPiece(piece);
    if (at >= answer.value || piece.length === 0) return { ok: true, value: at };
  }
}

export interface WriteRequest {
  readonly path: string;
  readonly content: Buffer;
  readonly mode?: number;
  readonly isAppended?: boolean;
}

export async function writeGuestFile(
  agent: AgentConnection,
  { path, content, mode = 0o666, isAppended = false }: WriteRequest,
): Promise<Result<void>> {
  const payload = Buffer.concat([u32(mode), u32(isAppended ? 1 : 0), text(path)]);
  const written = await ask(agent, { type: "W", payload, input: content });
  return written.ok ? { ok: true, value: undefined } : written;
}

export interface Personality {
  readonly hostname: string;
  /** 32 hexadecimal digits. */
  readonly machineId: string;
  readonly randomSeed: Buffer;
  readonly pids: number;
  /** Cores; fractions count. 0 for all that the machine has. */
  readonly cpus: number;
}

const CPU_PERIOD_US = 100_000;

/** What a machine that was forked from another must be told before anything runs in it. */
export function personalize(agent: AgentConnection, own: Personality): Promise<Result<number>> {
  const payload = Buffer.concat([
    u64(BigInt(systemClock.now()) * 1_000_000n),
    u32(own.pids),
    u32(Math.round(own.cpus * CPU_PERIOD_US)),
    text(own.hostname),
    text(own.machineId),
    own.randomSeed,
  ]);
  return ask(agent, { type: "P", payload });
}

/** The file system takes all of the disk that the machine has. */
export function growDisk(agent: AgentConnection): Promise<Result<number>> {
  return ask(agent, { type: "G", payload: Buffer.alloc(0) });
}

/** What was written is on the disk. With `isFinal`, all that runs is ended before. */
export function settleDisk(agent: AgentConnection, isFinal: boolean): Promise<Result<number>> {
  return ask(agent, { type: "Q", payload: u32(isFinal ? 1 : 0) });
}

/** Ends every command and job; answers how many processes there were. */
export function endAll(agent: AgentConnection): Promise<Result<number>> {
  return ask(agent, { type: "Z", payload: Buffer.alloc(0) });
}
