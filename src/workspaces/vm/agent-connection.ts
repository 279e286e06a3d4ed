import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { Result } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import {
  INPUT_WINDOW_BYTES,
  makeFrameReader,
  packFrame,
  packHello,
  type Frame,
} from "./agent-frames.ts";

/** One request and what comes back for it. */
export interface Channel {
  readonly id: number;
  send(type: string, payload: Buffer): void;
  /** Sends all of an input as fast as the guest takes it, and its end. */
  feed(input: Buffer): void;
  /** Nothing more is wanted. */
  close(): void;
}

export type ChannelListener = (frame: Frame) => void;

export interface ConnectRequest {
  /** The port's socket. */
  readonly path: string;
  /** For the whole way to the guest's first answer. */
  readonly timeoutMs: number;
  /** Whether there is no use in trying any more. */
  readonly isGone?: () => boolean;
  /** Gives up at once. */
  readonly signal?: AbortSignal;
  /** May ask for something in the same breath as the greeting; the answer comes after its echo. */
  readonly onGreeting?: (agent: AgentConnection) => void;
}

const RETRY_MS = 3;
const NONCE_BYTES = 16;

/** One conversation with the agent of a running machine; commands and files share it. */
export class AgentConnection {
  readonly #socket: Socket;
  readonly #channels = new Map<number, { listener: ChannelListener; feed: Feed | null }>();
  readonly #ended = Promise.withResolvers<void>();
  readonly closed: Promise<void> = this.#ended.promise;
  #isClosed = false;
  #lastChannel = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("close", () => this.close());
    socket.on("error", () => this.close());
  }

  /** Resolves once the guest has answered. */
  static async open(request: ConnectRequest): Promise<Result<AgentConnection>> {
    const deadline = systemClock.monotonic() + request.timeoutMs;
    const socket = await connectUntil(request, deadline);
    if (socket === null) return workspaceFailure(`no machine listens on ${request.path}`);
    const connection = new AgentConnection(socket);
    const stopWaiting = new AbortController();
    request.signal?.addEventListener("abort", () => connection.close(), { once: true });
    const greeted = connection.#greet().then(() => true);
    request.onGreeting?.(connection);
    const late = systemClock
      .sleep(Math.max(deadline - systemClock.monotonic(), 0), stopWaiting.signal)
      .then(() => false);
    const gone = connection.closed.then(() => false);
    const isGreeted = await Promise.race([greeted, late, gone]);
    stopWaiting.abort();
    if (isGreeted) {
      connection.#rest();
      return { ok: true, value: connection };
    }
    connection.close();
    return workspaceFailure("the machine's agent does not answer");
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  openChannel(type: string, payload: Buffer, listener: ChannelListener): Channel {
    this.#lastChannel += 1;
    const id = this.#lastChannel;
    const entry: { listener: ChannelListener; feed: Feed | null } = { listener, feed: null };
    this.#channels.set(id, entry);
    this.#socket.ref();
    const send = (kind: string, content: Buffer): void => {
      if (!this.#isClosed)
        this.#socket.write(packFrame({ channel: id, type: kind, payload: content }));
    };
    send(type, payload);
    return {
      id,
      send,
      feed: (input) => {
        entry.feed = makeFeed(input, send);
        entry.feed.go(INPUT_WINDOW_BYTES);
      },
      close: () => {
        this.#channels.delete(id);
        this.#rest();
      },
    };
  }

  /** Everything of this conversation that still runs in the guest is ended by the guest. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.destroy();
    this.#ended.resolve();
  }

  /** A connection that nobody waits for keeps no process alive. */
  #rest(): void {
    if (this.#channels.size === 0) this.#socket.unref();
  }

  /** What an earlier conversation left in the port is let go by until our own greeting is echoed. */
  #greet(): Promise<void> {
    const nonce = randomBytes(NONCE_BYTES);
    const { promise, resolve } = Promise.withResolvers<void>();
    let before: Buffer = Buffer.alloc(0);
    const read = makeFrameReader((frame) => this.#take(frame));
    const readSafely = (chunk: Buffer): void => {
      try {
        read(chunk);
      } catch {
        this.close();
      }
    };
    const onEarly = (chunk: Buffer): void => {
      before = Buffer.concat([before, chunk]);
      const at = before.indexOf(nonce);
      if (at === -1) {
        before = before.subarray(Math.max(before.length - NONCE_BYTES, 0));
        return;
      }
      this.#socket.off("data", onEarly);
      this.#socket.on("data", readSafely);
      resolve();
      if (before.length > at + NONCE_BYTES) readSafely(before.subarray(at + NONCE_BYTES));
    };
    this.#socket.on("data", onEarly);
    this.#socket.write(packHello(nonce));
    return promise;
  }

  #take(frame: Frame): void {
    const entry = this.#channels.get(frame.channel);
    if (entry === undefined) return;
    if (frame.type === "C" && frame.payload.length !== 4) return;
    if (frame.type === "C" && entry.feed !== null) {
      entry.feed.go(frame.payload.readUInt32LE(0));
    } else {
      entry.listener(frame);
    }
  }
}

interface Feed {
  /** The guest has room for so many bytes more. */
  go(bytes: number): void;
}

function makeFeed(input: Buffer, send: (type: string, payload: Buffer) => void): Feed {
  const pieceBytes = INPUT_WINDOW_BYTES / 4;
  const state = { at: 0, room: 0, isOver: false };
  return {
    go: (bytes) => {
      state.room += bytes;
      while (state.at < input.length && state.room > 0) {
        const piece = input.subarray(state.at, state.at + Math.min(state.room, pieceBytes));
        send("I", piece);
        state.at += piece.length;
        state.room -= piece.length;
      }
      if (state.isOver || state.at < input.length) return;
      state.isOver = true;
      send("E", Buffer.alloc(0));
    },
  };
}

/** The socket appears when the machine starts; `null` where that does not happen in time. */
async function connectUntil(request: ConnectRequest, deadline: number): Promise<Socket | null> {
  while (request.isGone?.() !== true) {
    const socket = await connectOnce(request.path);
    if (typeof socket !== "string") return socket;
    const isEarly = socket === "ENOENT" || socket === "ECONNREFUSED";
    if (!isEarly || systemClock.monotonic() > deadline) return null;
    await systemClock.sleep(RETRY_MS);
  }
  return null;
}

function connectOnce(path: string): Promise<Socket | string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error) => {
      socket.destroy();
      resolve(codeOf(error));
    });
  });
}
