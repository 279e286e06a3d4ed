import { connect, createServer, type Socket } from "node:net";
import { createWriteStream, rmSync } from "node:fs";
import { basename } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import type { Result } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import { workspaceFailure } from "../workspace-failure.ts";

const TIMEOUT_MS = 60_000;
const LINE_BYTES_MAX = 1024 * 1024;
const POLL_MS = 2;

/** A conversation with QEMU itself. One at a time is served; close it soon. */
export interface Monitor extends Disposable {
  execute(command: string, args?: Arguments): Promise<Result<unknown>>;
  /** All in one message, done in order whether or not one fails; the first failure or the last answer. */
  executeAll(commands: readonly (readonly [string, Arguments])[]): Promise<Result<unknown>>;
}

type Arguments = Readonly<Record<string, unknown>>;

const replySchema = z.object({
  QMP: z.unknown().optional(),
  return: z.unknown().optional(),
  error: z.object({ desc: z.string() }).optional(),
  event: z.string().optional(),
});

type Reply = z.infer<typeof replySchema>;

/** Waits for a machine that was just started, unless it is gone. */
export async function openMonitor(
  path: string,
  { isGone = () => false }: { readonly isGone?: () => boolean } = {},
): Promise<Result<Monitor>> {
  const socket = await connectUntil(path, isGone);
  if (socket === null) return workspaceFailure("QEMU is not there");
  const replies = readReplies(socket);
  // It greets whoever comes, and reads what was said meanwhile.
  socket.write(line("qmp_capabilities", {}));
  const greeting = await replies.next();
  if (greeting?.QMP === undefined) {
    socket.destroy();
    return workspaceFailure(`QEMU does not answer on ${path}`);
  }
  const monitor: Monitor = {
    execute: (command, args = {}) => monitor.executeAll([[command, args]]),
    executeAll: async (commands) => {
      socket.write(commands.map(([command, args]) => line(command, args)).join(""));
      let failed: Result<unknown> | null = null;
      let last: Result<unknown> = DONE;
      for (const [command] of commands) {
        last = answerTo(command, await replies.next());
        if (!last.ok) failed ??= last;
      }
      return failed ?? last;
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
  const ready = answerTo("qmp_capabilities", await replies.next());
  if (ready.ok) return { ok: true, value: monitor };
  socket.destroy();
  return ready;
}

function line(execute: string, args: Arguments): string {
  return `${JSON.stringify({ execute, arguments: args })}\n`;
}

function answerTo(command: string, reply: Reply | null): Result<unknown> {
  if (reply === null) return workspaceFailure(`QEMU did not answer ${command}`);
  if (reply.error === undefined) return { ok: true, value: reply.return };
  return workspaceFailure(`QEMU refused ${command}: ${reply.error.desc}`);
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

/** `null` for what QEMU would not say. */
function readReply(line: string): Reply | null {
  try {
    return replySchema.parse(JSON.parse(line));
  } catch {
    return null;
  }
}

/** An answer of the shape that it must have. */
function shaped<T>(answer: Result<unknown>, schema: z.ZodType<T>): Result<T> {
  if (!answer.ok) return answer;
  const read = schema.safeParse(answer.value);
  return read.success ? { ok: true, value: read.data } : workspaceFailure("QEMU answered nonsense");
}

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
    const replies = lines.map(readReply);
    if (replies.includes(null)) socket.destroy();
    else add(...replies.filter((reply) => reply !== null).filter(({ event }) => !event));
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

/** Far above what any memory brings: a stopped machine waits for nothing. */
const BANDWIDTH_MAX = 100 * 1024 ** 3;

/** Sends a stopped machine's state to whoever listens; resolves once it has all of it. */
export async function sendState(monitor: Monitor, uri: string): Promise<Result<void>> {
  const set = await monitor.execute("migrate-set-parameters", { "max-bandwidth": BANDWIDTH_MAX });
  if (!set.ok) return set;
  const started = await monitor.execute("migrate", { uri });
  return started.ok ? awaitMigration(monitor) : started;
}

/**
 * Writes a stopped machine's state to a file, through a socket: QEMU itself may neither start
 * programs nor open files for it. Where shared memory is ignored, it stays in its file.
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
  rmSync(bindPath, { force: true });
  await new Promise<void>((resolve) => server.listen(bindPath, resolve));
  try {
    const sent = await sendState(monitor, `unix:${socketPath}`);
    if (!sent.ok) return sent;
    await arrived;
    return DONE;
  } catch (error) {
    return workspaceFailure(`the machine's state could not be saved: ${String(error)}`, {
      cause: error,
    });
  } finally {
    server.close();
  }
}

async function awaitMigration(monitor: Monitor): Promise<Result<void>> {
  const deadline = systemClock.monotonic() + TIMEOUT_MS;
  while (systemClock.monotonic() < deadline) {
    const asked = shaped(await monitor.execute("query-migrate"), migrationSchema);
    if (!asked.ok) return asked;
    const { status, "error-desc": why } = asked.value;
    if (status === "completed") return DONE;
    if (status === "failed" || status === "cancelled") {
      return workspaceFailure(`the machine's state could not be saved: ${why ?? status}`);
    }
    await systemClock.sleep(POLL_MS);
  }
  return workspaceFailure("the machine's state could not be saved in time");
}

/** Memory that lies in a shared file is neither sent nor loaded. Both ends must agree. */
export async function setIgnoreShared(monitor: Monitor, state: boolean): Promise<Result<void>> {
  return nothingOf(await monitor.executeAll([ignoreShared(state)]));
}

function ignoreShared(state: boolean): readonly [string, Arguments] {
  const capabilities = [{ capability: "x-ignore-shared", state }];
  return ["migrate-set-capabilities", { capabilities }];
}

/** Resolves once a state has come in; the machine stands still or runs, as its sender was. */
export async function awaitState(monitor: Monitor): Promise<Result<void>> {
  const deadline = systemClock.monotonic() + TIMEOUT_MS;
  while (systemClock.monotonic() < deadline) {
    const asked = await queryStatus(monitor);
    if (!asked.ok) return asked;
    if (asked.value !== "inmigrate") return DONE;
    await systemClock.sleep(POLL_MS);
  }
  return workspaceFailure("the machine's state could not be loaded");
}

/**
 * Goes on from the state that QEMU was given at its start, and resolves once the machine runs: who
 * talked to one of its ports before would not be heard.
 */
export async function loadState(monitor: Monitor, uri: string): Promise<Result<void>> {
  const begun = await monitor.executeAll([ignoreShared(true), ["migrate-incoming", { uri }]]);
  if (!begun.ok) return begun;
  const came = await awaitState(monitor);
  return came.ok ? nothingOf(await monitor.execute("cont")) : came;
}

/** QEMU's word for what the machine does, such as `running` or `paused`. */
export async function queryStatus(monitor: Monitor): Promise<Result<string>> {
  const asked = shaped(await monitor.execute("query-status"), statusSchema);
  return asked.ok ? { ok: true, value: asked.value.status } : asked;
}

/** Name of the file that the machine writes its disk to. */
export async function queryDisk(monitor: Monitor): Promise<Result<string>> {
  const asked = shaped(await monitor.execute("query-block"), blockSchema);
  if (!asked.ok) return asked;
  const file = asked.value.find(({ device }) => device === "disk")?.inserted?.file ?? "";
  const name = basename(file.startsWith(DESCRIBED) ? topOf(file.slice(DESCRIBED.length)) : file);
  if (DISK_NAME.test(name)) return { ok: true, value: name };
  return workspaceFailure("the machine's disk is none of its own");
}

/** A disk that was switched while the machine ran is described in full. */
const DESCRIBED = "json:";
const DISK_NAME = /^disk(?:\.[0-9a-f-]{36})?\.qcow2$/;

function topOf(description: string): string {
  try {
    return describedSchema.parse(JSON.parse(description)).file.filename;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return "";
    throw error;
  }
}

/** What the guest has written to its console since this was last asked. */
export async function drainConsole(monitor: Monitor): Promise<Result<string>> {
  const request = { device: "console", size: CONSOLE_BYTES, format: "base64" };
  const asked = shaped(await monitor.execute("ringbuf-read", request), z.string());
  return asked.ok ? { ok: true, value: Buffer.from(asked.value, "base64").toString() } : asked;
}

const CONSOLE_BYTES = 65_536;
const DONE = { ok: true, value: undefined } as const;

const migrationSchema = z.object({
  "status": z.string().optional(),
  "error-desc": z.string().optional(),
});
const statusSchema = z.object({ status: z.string() });
const describedSchema = z.object({ file: z.object({ filename: z.string() }) });
const blockSchema = z.array(
  z.object({ device: z.string(), inserted: z.object({ file: z.string() }).optional() }),
);

export function nothingOf(answer: Result<unknown>): Result<void> {
  return answer.ok ? DONE : answer;
}
