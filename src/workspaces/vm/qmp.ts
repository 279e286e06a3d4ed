import { connect, createServer, type Socket } from "node:net";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { Result } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import { workspaceFailure } from "../workspace-failure.ts";

const TIMEOUT_MS = 60_000;
const LINE_BYTES_MAX = 1024 * 1024;
const POLL_MS = 2;

/** A conversation with QEMU itself. One at a time is served; close it soon. */
export interface Monitor extends Disposable {
  execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<Result<unknown>>;
}

interface Reply {
  readonly QMP?: unknown;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

/** Waits for a machine that was just started, unless it is gone. */
export async function openMonitor(
  path: string,
  { isGone = () => false }: { readonly isGone?: () => boolean } = {},
): Promise<Result<Monitor>> {
  const socket = await connectUntil(path, isGone);
  if (socket === null) return workspaceFailure("QEMU is not there");
  const replies = readReplies(socket);
  const greeting = await replies.next();
  if (greeting?.QMP === undefined) {
    socket.destroy();
    return workspaceFailure(`QEMU does not answer on ${path}`);
  }
  const monitor: Monitor = {
    execute: async (command, args = {}) => {
      socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
      const reply = await replies.next();
      if (reply === null) return workspaceFailure(`QEMU did not answer ${command}`);
      if (reply.error === undefined) return { ok: true, value: reply.return };
      return workspaceFailure(`QEMU refused ${command}: ${reply.error.desc}`);
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
  const ready = await monitor.execute("qmp_capabilities");
  if (ready.ok) return { ok: true, value: monitor };
  socket.destroy();
  return ready;
}

const START_TIMEOUT_MS = 10_000;

async function connectUntil(path: string, isGone: () => boolean): Promise<Socket | null> {
  const deadline = systemClock.monotonic() + START_TIMEOUT_MS;
  while (!isGone() && systemClock.monotonic() < deadline) {
    const socket = connect(path);
    const isConnected = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    if (isConnected) return socket;
    socket.destroy();
    await systemClock.sleep(POLL_MS);
  }
  return null;
}

const END = Symbol("end");

/** Answers in order; events of QEMU's own are let go by. `null` once there can be no more. */
function readReplies(socket: Socket): { next(): Promise<Reply | null> } {
  const arrived: (Reply | typeof END)[] = [];
  let wake = (): void => undefined;
  let rest = "";
  const add = (...replies: (Reply | typeof END)[]): void => {
    arrived.push(...replies);
    wake();
  };
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_BYTES_MAX) socket.destroy();
    const replies = lines.map((line) => JSON.parse(line) as Reply & { readonly event?: string });
    add(...replies.filter(({ event }) => event === undefined));
  });
  socket.on("error", () => add(END));
  socket.on("close", () => add(END));
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
  return {
    next: async () => {
      while (arrived.length === 0) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
      }
      const [first] = arrived;
      if (first === undefined || first === END) return null;
      arrived.shift();
      return first;
    },
  };
}

/**
 * Writes a stopped machine's state to a file, through a socket at `socketPath`: QEMU itself may
 * neither start programs nor open files for it. What of the memory lies in a shared file stays there.
 */
export async function saveState(
  monitor: Monitor,
  { socketPath, bindPath, target }: { socketPath: string; bindPath: string; target: string },
): Promise<Result<void>> {
  const server = createServer();
  const arrived = new Promise<void>((resolve, reject) => {
    server.once("connection", (source) => {
      pipeline(source, createWriteStream(target)).then(resolve, reject);
    });
  });
  arrived.catch(() => undefined);
  await new Promise<void>((resolve) => server.listen(bindPath, resolve));
  try {
    const started = await monitor.execute("migrate", { uri: `unix:${socketPath}` });
    if (!started.ok) return started;
    const done = await awaitMigration(monitor);
    if (!done.ok) return done;
    await arrived;
    return { ok: true, value: undefined };
  } finally {
    server.close();
  }
}

async function awaitMigration(monitor: Monitor): Promise<Result<void>> {
  const deadline = systemClock.monotonic() + TIMEOUT_MS;
  while (systemClock.monotonic() < deadline) {
    const asked = await monitor.execute("query-migrate");
    if (!asked.ok) return asked;
    const { status } = asked.value as { readonly status?: string };
    if (status === "completed") return { ok: true, value: undefined };
    if (status === "failed" || status === "cancelled") break;
    await systemClock.sleep(POLL_MS);
  }
  return workspaceFailure("the machine's state could not be saved");
}

/** Memory that lies in a file is neither saved nor loaded. */
export function ignoreSharedMemory(monitor: Monitor): Promise<Result<unknown>> {
  const capabilities = [{ capability: "x-ignore-shared", state: true }];
  return monitor.execute("migrate-set-capabilities", { capabilities });
}

/**
 * Goes on from the state that QEMU was given at its start, and resolves once the machine runs: who
 * talked to one of its ports before would not be heard.
 */
export async function loadState(monitor: Monitor, uri: string): Promise<Result<void>> {
  const set = await ignoreSharedMemory(monitor);
  if (!set.ok) return set;
  const begun = await monitor.execute("migrate-incoming", { uri });
  if (!begun.ok) return begun;
  const deadline = systemClock.monotonic() + TIMEOUT_MS;
  while (systemClock.monotonic() < deadline) {
    const asked = await monitor.execute("query-status");
    if (!asked.ok) return asked;
    const { status } = asked.value as { readonly status?: string };
    if (status !== "inmigrate") return started(await monitor.execute("cont"));
    await systemClock.sleep(POLL_MS);
  }
  return workspaceFailure("the machine's state could not be loaded");
}

function started(answer: Result<unknown>): Result<void> {
  return answer.ok ? { ok: true, value: undefined } : answer;
}
