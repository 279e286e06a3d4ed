import { constants } from "node:os";
import type { Socket } from "node:net";
import { systemClock } from "../../lib/clock.ts";
import { decodeList, encodeFrame, encodeList, engineReader, frameReader } from "./frames.ts";
import type { Part } from "./frames.ts";
import type { ExecEnding, OutputListener } from "../workspace.ts";

/** A command for an agent, with nothing left to be decided. */
export interface GuestCommand {
  /** A file in the container where its ending is noted, for `recall`; nowhere where it is left out. */
  readonly note?: string | undefined;
  readonly uid: number;
  readonly gid: number;
  /** Where `cwd` must be, links followed. */
  readonly roots: string;
  readonly base: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly stdin?: string | Buffer | AsyncIterable<Buffer> | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly onOutput: OutputListener;
}

/** How an agent refuses: its own word for why, and a sentence. */
export class GuestRefusal extends Error {
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The connection, the container or the agent is gone in the middle of something. */
export class GuestLost extends Error {}

/** How a command ended; `lost` where the agent was gone before it could say. */
export type GuestEnding = ExecEnding | { readonly kind: "lost" };

/** What a command left in its note; `never` where it has not begun, and will not any more. */
export interface RecalledEnding {
  readonly ending: ExecEnding | { readonly kind: "never" };
  /** Of its outputs, all together. */
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
}

type FrameHandler = (letter: string, rest: Buffer) => void;

const STOP_GRACE_MS = 2_000;
/** How long after its last word an agent is given up. */
const STUCK_AFTER_MS = 15_000;
const HELLO_WITHIN_MS = 30_000;
const WINDOW_BYTES = 1024 * 1024;
const PIECE_BYTES = 65_536;
/** The longest that a timer can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1;
const COMPLAINT_BYTES_MAX = 4_096;
const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name] as const),
);

/**
 * One agent in a container, and the talk with it: one thing after the other. It lives until either
 * side ends it; whatever it runs then ends with it.
 */
export class GuestConnection {
  readonly #stream: Socket;
  #onFrame: FrameHandler = () => undefined;
  #onLost: () => void = () => undefined;
  #complaint = "";
  #isClosed = false;

  private constructor(stream: Socket) {
    this.#stream = stream;
    const readFrames = frameReader((letter, rest) => this.#onFrame(letter, rest));
    const readEngine = engineReader((source, piece) => {
      if (source === "stdout") readFrames(piece);
      else this.#complaint = (this.#complaint + piece.toString()).slice(-COMPLAINT_BYTES_MAX);
    });
    stream.on("data", readEngine);
    stream.on("error", () => this.#close());
    stream.on("close", () => this.#close());
    stream.on("end", () => this.#close());
  }

  /** Waits for the agent's first word. Throws `GuestLost` with what it complained of. */
  static async open(stream: Socket): Promise<GuestConnection> {
    const connection = new GuestConnection(stream);
    try {
      await connection.#converse<void>({
        timeoutMs: HELLO_WITHIN_MS,
        onFrame: (letter, _rest, finish) => {
          if (letter === "H") finish(undefined);
        },
      });
      return connection;
    } catch (error) {
      connection.end();
      throw error;
    }
  }

  get isUsable(): boolean {
    return !this.#isClosed;
  }

  /** Whether it keeps this process from ending: not while nothing is asked of it. */
  set isWanted(isWanted: boolean) {
    if (isWanted) this.#stream.ref();
    else this.#stream.unref();
  }

  end(): void {
    this.#stream.destroy();
    this.#close();
  }

  async run(request: GuestCommand): Promise<GuestEnding> {
    if (request.signal.aborted) return { kind: "aborted" };
    const cut = { as: null as "timed-out" | "aborted" | null };
    const over = new AbortController();
    const stop = (as: "timed-out" | "aborted"): void => {
      if (cut.as !== null || over.signal.aborted) return;
      cut.as = as;
      this.#send("K", Buffer.from(String(STOP_GRACE_MS / 10)));
      void systemClock.sleep(STOP_GRACE_MS + STUCK_AFTER_MS, over.signal).then(() => {
        if (!over.signal.aborted) this.end();
      });
    };
    const onAbort = (): void => stop("aborted");
    request.signal.addEventListener("abort", onAbort, { once: true });
    void systemClock
      .sleep(Math.min(request.timeoutMs, TIMER_MS_MAX), over.signal)
      .then(() => stop("timed-out"));
    try {
      const ending = await this.#runToEnd(request);
      return cut.as === null ? ending : { kind: cut.as };
    } catch (error) {
      if (!(error instanceof GuestLost)) throw error;
      return { kind: cut.as ?? "lost" };
    } finally {
      over.abort();
      request.signal.removeEventListener("abort", onAbort);
    }
  }

  /** Asks for the ending of a command whose answer was lost, and ends one that still runs. */
  async recall(note: string): Promise<RecalledEnding> {
    const [kind = "", number = "", stdout, stderr] = await this.#ask("N", note);
    const ending = kind === "never" ? ({ kind } as const) : endingOf(kind, number);
    return { ending, stdoutBytes: Number(stdout), stderrBytes: Number(stderr) };
  }

  /** Whether a job began whose answer was lost; one that has not will not any more. */
  async hasJobBegun(folder: string): Promise<boolean> {
    const [answer] = await this.#ask("V", folder);
    return answer === "begun";
  }

  async #ask(letter: string, path: string): Promise<readonly string[]> {
    this.#stream.write(encodeList(letter, [path]));
    return this.#converse<readonly string[]>({
      timeoutMs: HELLO_WITHIN_MS,
      onFrame: (answer, rest, finish) => {
        if (answer === "X") finish(decodeList(rest));
      },
    });
  }

  /** Ends everything else in the container, and answers how many of the user's processes there were. */
  async sweep(timeoutMs: number): Promise<number> {
    this.#send("Z", Buffer.alloc(0));
    return this.#converse<number>({
      timeoutMs,
      onFrame: (letter, rest, finish) => {
        if (letter === "D") finish(Number(rest.toString()));
      },
    });
  }

  /** Starts a job, feeds it, and leaves it to itself: the connection is of no use afterwards. */
  async startJob(
    folder: string,
    request: Omit<GuestCommand, "signal" | "onOutput">,
  ): Promise<void> {
    const limit = Math.ceil(Math.min(request.timeoutMs, TIMER_MS_MAX) / 10);
    this.#stream.write(encodeList("J", [folder, limit, ...partsOf(request)]));
    const feeder = this.#feeder();
    const { stdin } = request;
    const isFed = feeder.feed(stdin === undefined ? [] : [Buffer.from(stdin as string | Buffer)]);
    await this.#converse<void>({
      timeoutMs: HELLO_WITHIN_MS,
      onFrame: (answer, rest, finish) => {
        if (answer === "A") feeder.taken(Number(rest.toString()));
        else if (answer === "G") void isFed.then(() => finish(undefined));
      },
    });
    // Unlike `end`, this sends what is still on its way.
    this.#stream.end();
    this.#close();
  }

  async signalJob(folder: string, signal: number): Promise<void> {
    this.#stream.write(encodeList("Q", [folder, signal]));
    await this.#converse<void>({
      timeoutMs: HELLO_WITHIN_MS,
      onFrame: (answer, _rest, finish) => {
        if (answer === "D") finish(undefined);
      },
    });
  }

  /** Asks for a file or a folder; answers its size, or 0. Throws `GuestRefusal`. */
  async read(
    letter: "R" | "L",
    parts: readonly Part[],
    timeoutMs: number,
    onPiece: (piece: Buffer) => void,
  ): Promise<number> {
    let size = 0;
    this.#stream.write(encodeList(letter, parts));
    return this.#converse<number>({
      timeoutMs,
      onFrame: (answer, rest, finish) => {
        if (answer === "S") size = Number(rest.toString());
        else if (answer === "O") onPiece(rest);
        else if (answer === "D") finish(size);
      },
    });
  }

  /** Writes a whole file. Throws `GuestRefusal`. */
  async write(
    parts: readonly Part[],
    content: Iterable<Buffer> | AsyncIterable<Buffer>,
    timeoutMs: number,
  ): Promise<void> {
    this.#stream.write(encodeList("W", parts));
    const feeder = this.#feeder();
    await this.#converse<void>({
      timeoutMs,
      onFrame: (answer, rest, finish) => {
        if (answer === "G") void feeder.feed(content);
        else if (answer === "A") feeder.taken(Number(rest.toString()));
        else if (answer === "D") finish(undefined);
      },
    });
    if (feeder.trouble !== null) throw feeder.trouble;
  }

  #runToEnd(request: GuestCommand): Promise<ExecEnding> {
    const { stdin } = request;
    this.#stream.write(encodeList("X", [request.note ?? "", ...partsOf(request)]));
    const feeder = this.#feeder();
    if (stdin !== undefined) {
      const isWhole = typeof stdin === "string" || Buffer.isBuffer(stdin);
      void feeder.feed(isWhole ? [Buffer.from(stdin)] : stdin);
    }
    return this.#converse<ExecEnding>({
      timeoutMs: null,
      onFrame: (letter, rest, finish) => {
        if (letter === "O") request.onOutput("stdout", rest);
        else if (letter === "E") request.onOutput("stderr", rest);
        else if (letter === "A") feeder.taken(Number(rest.toString()));
        else if (letter === "X") finish(endingOf(...pairIn(rest)));
      },
    })
      .catch((error: unknown): ExecEnding => {
        if (error instanceof GuestRefusal) return { kind: "unstartable", message: error.message };
        throw error;
      })
      .finally(() => feeder.stop());
  }

  /** Hears what the agent says until `finish` is called; its refusal and its end are thrown. */
  async #converse<T>(talk: {
    readonly timeoutMs: number | null;
    readonly onFrame: (letter: string, rest: Buffer, finish: (value: T) => void) => void;
  }): Promise<T> {
    const answer = Promise.withResolvers<T>();
    const over = new AbortController();
    this.#onFrame = (letter, rest) => {
      const [reason = "", message = ""] = letter === "F" ? decodeList(rest) : [];
      if (letter === "F") answer.reject(new GuestRefusal(reason, message));
      else talk.onFrame(letter, rest, answer.resolve);
    };
    this.#onLost = () => answer.reject(new GuestLost(this.#whyLost()));
    if (this.#isClosed) this.#onLost();
    if (talk.timeoutMs !== null) {
      void systemClock.sleep(talk.timeoutMs, over.signal).then(() => {
        if (!over.signal.aborted) this.end();
      });
    }
    try {
      return await answer.promise;
    } finally {
      over.abort();
      this.#onFrame = () => undefined;
      this.#onLost = () => undefined;
    }
  }

  #feeder(): Feeder {
    return makeFeeder((letter, rest) => this.#send(letter, rest));
  }

  #send(letter: string, rest: Buffer): void {
    if (!this.#isClosed) this.#stream.write(encodeFrame(letter, rest));
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onLost();
  }

  #whyLost(): string {
    const said = this.#complaint.trim();
    return said === "" ? "the connection to the container is gone" : said;
  }
}

function partsOf(request: Omit<GuestCommand, "signal" | "onOutput">): readonly Part[] {
  const { uid, gid, roots, base, cwd, stdin, command } = request;
  const variables = Object.entries(request.env).map(([name, value]) => `${name}=${value}`);
  const hasInput = stdin === undefined ? 0 : 1;
  return [uid, gid, roots, base, cwd, hasInput, variables.length, ...variables, ...command];
}

function pairIn(rest: Buffer): readonly [string, string] {
  const [kind = "", number = ""] = decodeList(rest);
  return [kind, number];
}

function endingOf(kind: string, number: string): ExecEnding {
  if (kind === "exited") return { kind, code: Number(number) };
  return { kind: "signalled", signal: SIGNAL_NAMES.get(Number(number)) ?? `SIG${number}` };
}

interface Feeder {
  readonly trouble: Error | null;
  /** Sends it in pieces, never more ahead than the window. */
  feed(content: Iterable<Buffer> | AsyncIterable<Buffer>): Promise<void>;
  taken(bytes: number): void;
  stop(): void;
}

function makeFeeder(send: (letter: string, rest: Buffer) => void): Feeder {
  const state = { ahead: 0, stopped: false, trouble: null as Error | null };
  let room = Promise.withResolvers<void>();
  const hasRoom = (bytes: number): boolean =>
    state.stopped || state.ahead === 0 || state.ahead + bytes <= WINDOW_BYTES;
  const sendPiece = async (piece: Buffer): Promise<void> => {
    while (!hasRoom(piece.length)) await room.promise;
    if (state.stopped) return;
    state.ahead += piece.length;
    send("I", piece);
  };
  const sendAll = async (content: Iterable<Buffer> | AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of content) {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        await sendPiece(chunk.subarray(at, at + PIECE_BYTES));
        if (state.stopped) return;
      }
    }
  };
  return {
    get trouble() {
      return state.trouble;
    },
    feed: async (content) => {
      try {
        await sendAll(content);
      } catch (error) {
        state.trouble = error as Error;
      }
      if (!state.stopped) send("C", Buffer.alloc(0));
    },
    taken: (bytes) => {
      state.ahead -= bytes;
      room.resolve();
      room = Promise.withResolvers<void>();
    },
    stop: () => {
      state.stopped = true;
      room.resolve();
    },
  };
}
