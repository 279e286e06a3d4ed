import { spawn } from "node:child_process";
import { startOf } from "./process-table.ts";

export interface DetachedRequest {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Its standard input, delivered whole before this resolves. Its output is nobody's. */
  readonly input: string | Buffer;
}

/** What is known of a process that goes on by itself. */
export interface Detached {
  readonly pid: number;
  /** Whether the very process that was started is still there. */
  isRunning(): boolean;
}

/**
 * Starts a program in a session of its own that goes on when this process ends; answers it once it
 * has its input, or a sentence on why it did not start.
 */
export async function startDetached(request: DetachedRequest): Promise<Detached | string> {
  const [program, ...args] = request.command;
  const child = spawn(program, args, {
    cwd: request.cwd,
    env: request.env,
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const failed = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`cannot start ${program}: ${error.message}`));
  });
  const { pid, stdin } = child;
  if (pid === undefined) return failed;
  const start = startOf(pid);
  let hasExited = false;
  child.once("exit", () => (hasExited = true));
  await new Promise<void>((resolve) => {
    stdin.on("error", () => resolve());
    stdin.end(request.input, () => resolve());
  });
  child.unref();
  return { pid, isRunning: () => !hasExited && (start === null || startOf(pid) === start) };
}
