import type { ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { systemClock } from "./clock.ts";
import { makeOutputTail } from "./output-tail.ts";
import { startChild, type StartRequest } from "./process-start.ts";
import { startOf } from "./process-table.ts";
import { endTree, type TreeRoot } from "./process-tree.ts";

export interface ConversationRequest extends StartRequest {
  /** An answer that grows beyond this ends the conversation. */
  readonly answerBytesMax: number;
}

interface Question {
  /** Written as it is: lines need their line ends. */
  readonly input: string;
  /** The answer is complete when the output ends with this line (its line end excluded). */
  readonly sentinel: string;
  readonly timeoutMs: number;
}

type Answer =
  /** Everything before the sentinel. */
  | { readonly kind: "answered"; readonly bytes: Buffer }
  /** The program is ended: later questions answer `ended`. */
  | { readonly kind: "timed-out" }
  /** It could not be started, ended by itself or said too much: `message` says which. */
  | { readonly kind: "ended"; readonly message: string };

/** A long-lived program that answers on its output what it is asked on its input. */
export interface Conversation {
  /** Questions wait for each other, in the order asked. Never rejects. */
  ask(question: Question): Promise<Answer>;
  /** Ends the program and its tree. May be called twice. */
  close(): Promise<void>;
}

/** How long a program may take to end by itself once its input is closed. */
const CLOSE_GRACE_MS = 500;
const STDERR_BYTES_MAX = 4096;

/** Starts the program at once; that it could not be started is told to the first question. */
export function startProcess(request: ConversationRequest): Conversation {
  const started = startChild(request, "pipe");
  if (started.ok) return new RunningConversation(started.child, started.pid, request);
  const ask = async (): Promise<Answer> => ({ kind: "ended", message: await started.message });
  return { ask, close: () => Promise.resolve() };
}

type Stream = Readable | Writable;

interface Pending {
  readonly sentinel: Buffer;
  readonly chunks: Buffer[];
  bytes: number;
  settle(answer: Answer): void;
}

class RunningConversation implements Conversation {
  readonly #child: ChildProcess;
  readonly #request: ConversationRequest;
  readonly #root: TreeRoot;
  readonly #stderr = makeOutputTail(STDERR_BYTES_MAX);
  readonly #closed: Promise<void>;
  #pending: Pending | null = null;
  #whyEnded: string | null = null;
  #ending: Promise<void> | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(child: ChildProcess, pid: number, request: ConversationRequest) {
    this.#child = child;
    this.#request = request;
    const startedAtMs = systemClock.monotonic();
    this.#root = { pid, start: startOf(pid), marker: null, startedAtMs };
    for (const stream of this.#streams()) stream.on("error", () => undefined);
    child.stdout?.on("data", (chunk: Buffer) => this.#take(chunk));
    child.stderr?.on("data", (chunk: Buffer) => this.#stderr.push(chunk));
    this.#closed = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        resolve();
        void this.#end(this.#explainEnd(signal ?? `exit code ${code}`));
      });
    });
  }

  ask(question: Question): Promise<Answer> {
    const answer = this.#last.then(() => this.#askNow(question));
    this.#last = answer;
    return answer;
  }

  async close(): Promise<void> {
    this.#whyEnded ??= "the conversation was closed";
    this.#child.stdin?.end();
    const stopWaiting = new AbortController();
    await Promise.race([this.#closed, systemClock.sleep(CLOSE_GRACE_MS, stopWaiting.signal)]);
    stopWaiting.abort();
    await this.#end(this.#whyEnded);
  }

  #askNow(question: Question): Promise<Answer> {
    if (this.#whyEnded !== null) return Promise.resolve({ kind: "ended", message: this.#whyEnded });
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#pending?.settle({ kind: "timed-out" });
        void this.#end("an earlier question was not answered in time");
      }, question.timeoutMs);
      const settle = (answer: Answer): void => {
        clearTimeout(timer);
        this.#pending = null;
        resolve(answer);
      };
      const sentinel = Buffer.from(`${question.sentinel}\n`);
      this.#pending = { sentinel, chunks: [], bytes: 0, settle };
      this.#child.stdin?.write(question.input);
    });
  }

  #take(chunk: Buffer): void {
    if (this.#pending === null) return;
    const { answerBytesMax } = this.#request;
    const isTooMuch = addToAnswer(this.#pending, chunk) > answerBytesMax;
    if (isTooMuch) void this.#end(`an answer grew beyond ${answerBytesMax} bytes`);
  }

  /** Also where the program ended by itself, for whatever it started. */
  #end(why: string): Promise<void> {
    this.#whyEnded ??= why;
    this.#pending?.settle({ kind: "ended", message: this.#whyEnded });
    this.#ending ??= this.#endNow();
    return this.#ending;
  }

  async #endNow(): Promise<void> {
    await endTree(this.#root, 0);
    for (const stream of this.#streams()) stream.destroy();
  }

  #explainEnd(how: string): string {
    const said = this.#stderr.read().bytes.toString().trim();
    return `${this.#request.command[0]} ended (${how})${said === "" ? "" : `: ${said}`}`;
  }

  #streams(): readonly Stream[] {
    const { stdin, stdout, stderr } = this.#child;
    return [stdin, stdout, stderr].filter((stream) => stream !== null);
  }
}

/** Settles the answer where it is complete, and tells its size so far. */
function addToAnswer(pending: Pending, chunk: Buffer): number {
  pending.chunks.push(chunk);
  pending.bytes += chunk.length;
  const { sentinel } = pending;
  const ending = lastBytes(pending.chunks, sentinel.length);
  if (ending.equals(sentinel)) {
    const all = Buffer.concat(pending.chunks, pending.bytes);
    pending.settle({ kind: "answered", bytes: all.subarray(0, all.length - sentinel.length) });
  }
  return pending.bytes;
}

/** Only as many chunks are joined as the ending needs: answers come in many. */
function lastBytes(chunks: readonly Buffer[], count: number): Buffer {
  let bytes = 0;
  let first = chunks.length;
  while (first > 0 && bytes < count) {
    first -= 1;
    bytes += chunks[first]?.length ?? 0;
  }
  return Buffer.concat(chunks.slice(first)).subarray(-count);
}
