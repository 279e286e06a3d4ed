import type { ChildProcess } from "node:child_process";
import { Readable } from "node:stream";
import { systemClock } from "./clock.ts";
import { makeOutputTail, type OutputTail } from "./output-tail.ts";
import { startChild } from "./process-start.ts";
import { startOf } from "./process-table.ts";
import { endTree, mayHaveLeftovers } from "./process-tree.ts";

export { startProcess, type Conversation } from "./process-conversation.ts";
export { startDaemon, type Daemon, type DaemonRequest } from "./process-daemon.ts";
export { startDetached, type Detached } from "./process-detached.ts";
export { startWithServer, type ServerStart } from "./process-handed.ts";
export { startLogged, type LoggedStart } from "./process-logged.ts";
export { isAlive, processIdentity } from "./process-table.ts";
export { endIdentified, endMarkedProcesses, signalMarkedProcesses } from "./process-tree.ts";

export interface ProcessRequest {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** A stream is read as fast as the program takes it; whoever gave it ends it. */
  readonly stdin?: string | Buffer | Readable;
  readonly timeoutMs: number;
  /** How much of each stream the result keeps: its end. */
  readonly outputBytesMax: number;
  /** Sees every byte, as it comes. Must not throw. */
  readonly onOutput?: (stream: "stdout" | "stderr", chunk: Buffer) => void;
  readonly signal?: AbortSignal;
  /**
   * `NAME=value` that stands in the environment of every process of the tree. By it, processes
   * that left the group and lost their parent are found and ended as well. No other command that
   * runs at the same time may have it.
   */
  readonly marker?: string;
}

export type ProcessEnding =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  | { readonly kind: "timed-out" }
  | { readonly kind: "aborted" }
  | { readonly kind: "unstartable"; readonly message: string };

export interface ProcessOutput {
  readonly bytes: Buffer;
  readonly totalBytes: number;
  readonly droppedBytes: number;
}

export interface ProcessResult {
  readonly ending: ProcessEnding;
  readonly stdout: ProcessOutput;
  readonly stderr: ProcessOutput;
  readonly durationMs: number;
}

/** From SIGTERM to SIGKILL, where a command ran too long or is no longer wanted. */
const STOP_GRACE_MS = 2_000;
/** The same for what a command left behind when it ended by itself. */
const LEFTOVER_GRACE_MS = 200;
/** How often, and at which distance, the rest of the output is waited for after the end. */
const DRAIN_ROUNDS_MAX = 40;
const DRAIN_PAUSE_MS = 25;
/** The longest that a timer can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * Runs a program in a process group and session of its own, and resolves when all of its tree is
 * gone; never rejects for what the program does.
 *
 * Output is drained all the time, whoever listens. At the timeout or the abort the whole tree gets
 * SIGTERM and soon SIGKILL; what a program leaves running when it ends by itself is ended too, and
 * pipes that something unfindable holds open are let go after a second.
 */
export async function runProcess(request: ProcessRequest): Promise<ProcessResult> {
  const startedAtMs = systemClock.monotonic();
  const stdout = makeOutputTail(request.outputBytesMax);
  const stderr = makeOutputTail(request.outputBytesMax);
  const ending = await runToEnd(request, { stdout, stderr, startedAtMs });
  const durationMs = systemClock.monotonic() - startedAtMs;
  return { ending, stdout: stdout.read(), stderr: stderr.read(), durationMs };
}

interface Run {
  readonly stdout: OutputTail;
  readonly stderr: OutputTail;
  readonly startedAtMs: number;
}

async function runToEnd(request: ProcessRequest, run: Run): Promise<ProcessEnding> {
  if (request.signal?.aborted === true) return { kind: "aborted" };
  const started = startChild(request, request.stdin === undefined ? "ignore" : "pipe");
  if (!started.ok) return { kind: "unstartable", message: await started.message };
  const { child, pid } = started;
  const exited = exitOf(child);
  const closed = closeOf(child);
  collect(child, request, run);
  feed(child, request.stdin);
  const { startedAtMs } = run;
  const root = { pid, start: startOf(pid), marker: request.marker ?? null, startedAtMs };

  const interruption = watchForInterruption(request);
  const ending = await Promise.race([exited, interruption.happened]);
  interruption.stopWatching();
  if (ending.kind === "timed-out" || ending.kind === "aborted") await endTree(root, STOP_GRACE_MS);
  else if (mayHaveLeftovers(root)) await endTree(root, LEFTOVER_GRACE_MS);
  await drain(child, closed);
  return ending;
}

function exitOf(child: ChildProcess): Promise<ProcessEnding> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => {
      resolve(
        code === null ? { kind: "signalled", signal: String(signal) } : { kind: "exited", code },
      );
    });
  });
}

interface Closing {
  isClosed: boolean;
  readonly done: Promise<void>;
}

function closeOf(child: ChildProcess): Closing {
  const { promise, resolve } = Promise.withResolvers<void>();
  const closing: Closing = { isClosed: false, done: promise };
  child.once("close", () => {
    closing.isClosed = true;
    resolve();
  });
  return closing;
}

function collect(child: ChildProcess, request: ProcessRequest, run: Run): void {
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.on("data", (chunk: Buffer) => {
      run[stream].push(chunk);
      request.onOutput?.(stream, chunk);
    });
    child[stream]?.on("error", () => undefined);
  }
}

/** A program that does not read its input to the end is no error: it has its reasons. */
function feed(child: ChildProcess, stdin: ProcessRequest["stdin"]): void {
  child.stdin?.on("error", () => undefined);
  if (!(stdin instanceof Readable)) {
    child.stdin?.end(stdin);
    return;
  }
  stdin.on("error", () => child.stdin?.destroy());
  if (child.stdin !== null) stdin.pipe(child.stdin);
}

function watchForInterruption({ timeoutMs, signal }: ProcessRequest): {
  readonly happened: Promise<ProcessEnding>;
  stopWatching(): void;
} {
  const { promise, resolve } = Promise.withResolvers<ProcessEnding>();
  const onAbort = (): void => resolve({ kind: "aborted" });
  const onTimeout = (): void => resolve({ kind: "timed-out" });
  const timer = setTimeout(onTimeout, Math.min(timeoutMs, TIMER_MS_MAX));
  signal?.addEventListener("abort", onAbort, { once: true });
  const stopWatching = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  };
  return { happened: promise, stopWatching };
}

/**
 * Waits for the rest of the output in many short rounds, because each lets pending reads happen
 * first even where this process was held up, and then lets go.
 */
async function drain(child: ChildProcess, closing: Closing): Promise<void> {
  for (let round = 0; round < DRAIN_ROUNDS_MAX && !closing.isClosed; round += 1) {
    const stopWaiting = new AbortController();
    const pause = systemClock.sleep(DRAIN_PAUSE_MS, stopWaiting.signal);
    await Promise.race([closing.done, pause]);
    stopWaiting.abort();
  }
  if (closing.isClosed) return;
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
  child.unref();
}
