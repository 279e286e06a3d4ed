import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { processIdentity } from "./process-table.ts";

export interface LoggedRequest {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Gets what it prints; made where it is missing, appended to where it is not. */
  readonly logPath: string;
  /** Open files that it gets as descriptors 3, 4 and so on. */
  readonly files?: readonly number[];
}

export type LoggedStart =
  | {
      readonly ok: true;
      readonly pid: number;
      /** See `processIdentity`. */
      readonly identity: string;
      /** Resolves when it ends while this process still lives. Holds nothing up. */
      readonly ended: Promise<void>;
    }
  | { readonly ok: false; readonly message: string };

/** Starts a program that outlives this process: a session of its own, no pipes to here. */
export async function startLogged(request: LoggedRequest): Promise<LoggedStart> {
  const [program, ...args] = request.command;
  const log = openSync(request.logPath, "a", 0o600);
  try {
    const child = spawn(program, args, {
      cwd: request.cwd,
      env: request.env,
      detached: true,
      stdio: ["ignore", log, log, ...(request.files ?? [])],
    });
    const failed = new Promise<Error>((resolve) => child.once("error", resolve));
    if (child.pid === undefined) {
      return { ok: false, message: `cannot start ${program}: ${(await failed).message}` };
    }
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.unref();
    const identity = processIdentity(child.pid);
    if (identity !== null) return { ok: true, pid: child.pid, identity, ended };
    return { ok: false, message: `${program} ended at once` };
  } finally {
    closeSync(log);
  }
}
