import { closeSync, openSync } from "node:fs";
import { spawn, type ChildProcess } from "node:child_process";
import { makeOutputTail } from "./output-tail.ts";

export interface DaemonRequest {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Its complaints go here; made anew. */
  readonly logPath: string;
  /** Looks at all it has said so far. Once this is true it is on its own, and heard no more. */
  readonly isReady: (said: string) => boolean;
  readonly timeoutMs: number;
}

export type Daemon =
  | { readonly ok: true; readonly pid: number; readonly said: string }
  | { readonly ok: false; readonly message: string };

const SAID_BYTES_MAX = 65_536;

/**
 * Starts a program that goes on when this process ends, and resolves when it says that it is ready.
 * One that ends before, or is not ready in time, is ended with its process group. Never rejects for
 * what the program does.
 */
export async function startDaemon(request: DaemonRequest): Promise<Daemon> {
  const log = openSync(request.logPath, "w", 0o600);
  const [program, ...args] = request.command;
  let child: ChildProcess;
  try {
    const { cwd, env } = request;
    child = spawn(program, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", log] });
  } catch (error) {
    return { ok: false, message: `cannot start ${program}: ${String(error)}` };
  } finally {
    closeSync(log);
  }
  const heard = await hear(child, request);
  child.stdout?.destroy();
  child.unref();
  if (!heard.ok && child.pid !== undefined) killGroup(child.pid);
  return heard;
}

function hear(child: ChildProcess, request: DaemonRequest): Promise<Daemon> {
  return new Promise((resolve) => {
    const said = makeOutputTail(SAID_BYTES_MAX);
    const settle = (answer: Daemon): void => {
      clearTimeout(timer);
      resolve(answer);
    };
    const fail = (message: string): void => settle({ ok: false, message });
    const timer = setTimeout(() => fail("was not ready in time"), request.timeoutMs);
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code, signal) => fail(`ended (${signal ?? `exit code ${code}`})`));
    child.stdout?.on("error", () => undefined);
    child.stdout?.on("data", (chunk: Buffer) => {
      said.push(chunk);
      const text = said.read().bytes.toString();
      if (child.pid !== undefined && request.isReady(text)) {
        settle({ ok: true, pid: child.pid, said: text });
      }
    });
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}
