import { constants } from "node:os";
import { systemClock } from "../../lib/clock.ts";
import { makeOutputTail, type OutputTail } from "../../lib/output-tail.ts";
import type { ExecEnding, ExecOutput, ExecRequest, ExecResult } from "../workspace.ts";
import type { AgentConnection, Channel } from "./agent-connection.ts";
import { REQUEST_BYTES_MAX, text, u32, type Frame } from "./agent-frames.ts";

export interface GuestCommand extends Omit<ExecRequest, "cwd" | "env" | "outputBytesMax"> {
  /** Absolute. */
  readonly cwd: string;
  /** The whole of it. */
  readonly env: Readonly<Record<string, string>>;
  readonly outputBytesMax: number;
  /** Aborted when the workspace is destroyed. */
  readonly destroyed: AbortSignal;
}

const HAS_INPUT = 1;
const IS_JOB = 2;
const KILL_GRACE_MS = 2_000;
/** Beyond the grace, for a guest that is too busy to answer. */
const KILL_ANSWER_MS = 15_000;
const TIMER_MS_MAX = 2 ** 31 - 1;

const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name]),
);

interface Run {
  readonly stdout: OutputTail;
  readonly stderr: OutputTail;
}

/** Runs a command in the guest; resolves when its whole tree is gone. Never rejects. */
export async function execInGuest(
  agent: AgentConnection,
  command: GuestCommand,
): Promise<ExecResult> {
  const startedAtMs = systemClock.monotonic();
  const run: Run = {
    stdout: makeOutputTail(command.outputBytesMax),
    stderr: makeOutputTail(command.outputBytesMax),
  };
  const ending = await runToEnd(agent, command, run);
  return {
    ending,
    stdout: asText(run.stdout),
    stderr: asText(run.stderr),
    durationMs: systemClock.monotonic() - startedAtMs,
  };
}

async function runToEnd(
  agent: AgentConnection,
  command: GuestCommand,
  run: Run,
): Promise<ExecEnding> {
  if (command.signal?.aborted === true || command.destroyed.aborted) return { kind: "aborted" };
  const payload = packCommand(command);
  if (typeof payload === "string") return { kind: "unstartable", message: payload };
  const { promise: ended, resolve } = Promise.withResolvers<ExecEnding>();
  const channel = agent.openChannel("X", payload, (frame) => {
    const ending = takeFrame(frame, command, run);
    if (ending !== null) resolve(ending);
  });
  if (command.stdin !== undefined) channel.feed(Buffer.from(command.stdin));
  const interruption = watchForInterruption(command);
  try {
    const gone = agent.closed.then((): ExecEnding => whenGone(command, run));
    const first = await Promise.race([ended, gone, interruption.happened]);
    if (first.kind !== "timed-out" && first.kind !== "aborted") return first;
    await killed(channel, Promise.race([ended, gone]));
    return first;
  } finally {
    interruption.stopWatching();
    channel.close();
  }
}

/** The machine ended under the command: that is a death by force, and it is told why. */
function whenGone(command: GuestCommand, run: Run): ExecEnding {
  if (command.destroyed.aborted) return { kind: "aborted" };
  run.stderr.push(Buffer.from("\nmycelium: the machine ended while this command ran\n"));
  return { kind: "signalled", signal: "SIGKILL" };
}

function takeFrame({ type, payload }: Frame, command: GuestCommand, run: Run): ExecEnding | null {
  if (type === "1" || type === "2") {
    const stream = type === "1" ? "stdout" : "stderr";
    run[stream].push(payload);
    command.onOutput?.(stream, payload);
  }
  if (type === "U") return { kind: "unstartable", message: payload.toString() };
  if (type !== "X" || payload.length !== 5) return null;
  return endingOf(payload[0] === 1, payload.readUInt32LE(1));
}

export function endingOf(isSignal: boolean, value: number): ExecEnding {
  if (!isSignal) return { kind: "exited", code: value };
  return { kind: "signalled", signal: SIGNAL_NAMES.get(value) ?? `SIG${value}` };
}

async function killed(channel: Channel, ended: Promise<unknown>): Promise<void> {
  channel.send("K", u32(KILL_GRACE_MS));
  const stopWaiting = new AbortController();
  const patience = systemClock.sleep(KILL_GRACE_MS + KILL_ANSWER_MS, stopWaiting.signal);
  await Promise.race([ended, patience]);
  stopWaiting.abort();
}

export interface PackedCommand extends Pick<GuestCommand, "command" | "cwd" | "env" | "stdin"> {
  /** Where it keeps what it says, for one that goes on alone. */
  readonly job?: { readonly folder: string; readonly timeoutMs: number };
}

/** The request, or why there can be none. */
export function packCommand({ command, cwd, env, stdin, job }: PackedCommand): Buffer | string {
  const args = typeof command === "string" ? ["/bin/sh", "-c", command] : command;
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const strings = [cwd, job?.folder ?? "", ...args, ...variables];
  if (strings.some((string) => string.includes("\0"))) return "a NUL character cannot be passed on";
  const flags = (stdin === undefined ? 0 : HAS_INPUT) + (job === undefined ? 0 : IS_JOB);
  const counts = [flags, job?.timeoutMs ?? 0, args.length, variables.length].map(u32);
  const payload = Buffer.concat([...counts, ...strings.map(text)]);
  if (payload.length <= REQUEST_BYTES_MAX) return payload;
  return `arguments and environment have ${payload.length} bytes, over ${REQUEST_BYTES_MAX}`;
}

function watchForInterruption({ timeoutMs, signal, destroyed }: GuestCommand): {
  readonly happened: Promise<ExecEnding>;
  stopWatching(): void;
} {
  const { promise, resolve } = Promise.withResolvers<ExecEnding>();
  const stop = new AbortController();
  const onAbort = (): void => resolve({ kind: "aborted" });
  for (const source of [signal, destroyed]) {
    source?.addEventListener("abort", onAbort, { once: true, signal: stop.signal });
  }
  const timer = setTimeout(() => resolve({ kind: "timed-out" }), Math.min(timeoutMs, TIMER_MS_MAX));
  const stopWatching = (): void => {
    clearTimeout(timer);
    stop.abort();
  };
  return { happened: promise, stopWatching };
}

/** Where the beginning was dropped, so are the rest bytes of a character that was cut through. */
function asText(tail: OutputTail): ExecOutput {
  const { bytes, totalBytes, droppedBytes } = tail.read();
  let start = 0;
  if (droppedBytes > 0)
    while (start < 3 && ((bytes[start] ?? 0) & 0b1100_0000) === 0b1000_0000) start += 1;
  return { text: bytes.toString("utf8", start), totalBytes, droppedBytes };
}

export function unstartable(message: string): ExecResult {
  const nothing: ExecOutput = { text: "", totalBytes: 0, droppedBytes: 0 };
  return {
    ending: { kind: "unstartable", message },
    stdout: nothing,
    stderr: nothing,
    durationMs: 0,
  };
}
