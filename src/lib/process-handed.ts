import { spawn } from "node:child_process";
import type { Server } from "node:net";
import { processIdentity } from "./process-table.ts";

export interface ServerStartRequest {
  /** Must end in a program of Node, which gets the server with its first message. */
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** A server that listens. It is the program's from here on, and closed in this process. */
  readonly server: Server;
  readonly timeoutMs: number;
}

export type ServerStart =
  | { readonly ok: true; readonly pid: number; readonly identity: string }
  | { readonly ok: false; readonly message: string };

/**
 * Starts a program that goes on when this process ends, and hands it a listening server; resolves
 * once it says by a message that it has it. One that does not is ended.
 */
export async function startWithServer(request: ServerStartRequest): Promise<ServerStart> {
  const [program, ...args] = request.command;
  const child = spawn(program, args, {
    cwd: request.cwd,
    env: request.env,
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const timer = setTimeout(() => resolve("it did not answer in time"), request.timeoutMs);
  child.once("error", (error) => resolve(error.message));
  child.once("exit", (code, signal) => resolve(`it ended (${signal ?? `exit code ${code}`})`));
  child.once("message", () => resolve(null));
  if (child.pid !== undefined) child.send("server", request.server);
  const problem = await promise;
  clearTimeout(timer);
  request.server.close();
  if (child.connected) child.disconnect();
  child.unref();
  const { pid } = child;
  const identity = pid === undefined ? null : processIdentity(pid);
  if (problem === null && pid !== undefined && identity !== null)
    return { ok: true, pid, identity };
  if (pid !== undefined && child.exitCode === null) child.kill("SIGKILL");
  return { ok: false, message: `cannot start ${program}: ${problem ?? "it ended at once"}` };
}
