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
  /**
   * What must be done about the program before it may go on. Looks at all it has said so far, and
   * answers `null` until that is enough to begin; then it is asked no more. Once what it began is
   * done, the program gets a line on its standard input, which it should wait for: it is not ready
   * before. It resolves to a sentence where the program must not go on.
   */
  readonly arrange?: (said: string) => Promise<string | null> | null;
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
    const stdin = request.arrange === undefined ? "ignore" : "pipe";
    child = spawn(program, args, { cwd, env, detached: true, stdio: [stdin, "pipe", log] });
  } catch (error) {
    return { ok: false, message: `cannot start ${program}: ${String(error)}` };
  } finally {
    closeSync(log);
  }
  let isOnItsOwn = false;
  try {
    const heard = await hear(child, request);
    isOnItsOwn = heard.ok;
    return heard;
  } finally {
    child.stdin?.destroy();
    child.stdout?.destroy();
    child.unref();
    if (!isOnItsOwn && child.pid !== undefined) killGroup(child.pid);
  }
}

function hear(child: ChildProcess, request: DaemonRequest): Promise<Daemon> {
  return new Promise((resolve, reject) => {
    const said = makeOutputTail(SAID_BYTES_MAX);
    let isArranged = request.arrange === undefined;
    let arranging: Promise<void> | null = null;
    const settle = (answer: Daemon): void => {
      clearTimeout(timer);
      resolve(answer);
    };
    const fail = (message: string): void => settle({ ok: false, message });
    const goOn = (complaint: string | null): void => {
      if (complaint !== null) return fail(complaint);
      isArranged = true;
      child.stdin?.end("go\n");
      look();
    };
    const look = (): void => {
      const text = said.read().bytes.toString();
      arranging ??= request.arrange?.(text)?.then(goOn).catch(reject) ?? null;
      if (isArranged && child.pid !== undefined && request.isReady(text)) {
        settle({ ok: true, pid: child.pid, said: text });
      }
    };
    const timer = setTimeout(() => fail("was not ready in time"), request.timeoutMs);
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code, signal) => fail(`ended (${signal ?? `exit code ${code}`})`));
    child.stdin?.on("error", () => undefined);
    child.stdout?.on("error", () => undefined);
    child.stdout?.on("data", (chunk: Buffer) => {
      said.push(chunk);
      look();
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
