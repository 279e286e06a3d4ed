import { spawn, type ChildProcess } from "node:child_process";
import { statSync } from "node:fs";

export interface StartRequest {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
}

export type Started =
  | { readonly ok: true; readonly child: ChildProcess; readonly pid: number }
  /** A sentence that names what is missing. */
  | { readonly ok: false; readonly message: Promise<string> };

/** Starts a program as the leader of a process group and session of its own. Does not throw. */
export function startChild(request: StartRequest, stdin: "ignore" | "pipe"): Started {
  const [program, ...args] = request.command;
  try {
    const child = spawn(program, args, {
      cwd: request.cwd,
      env: request.env,
      detached: true,
      stdio: [stdin, "pipe", "pipe"],
    });
    const failed = new Promise<Error>((resolve) => child.on("error", resolve));
    if (child.pid !== undefined) return { ok: true, child, pid: child.pid };
    return { ok: false, message: failed.then((error) => explain(request, error)) };
  } catch (error) {
    return { ok: false, message: Promise.resolve(explain(request, error as Error)) };
  }
}

/** The system says ENOENT for a missing folder too, and then blames the program. */
function explain({ command: [program], cwd }: StartRequest, error: NodeJS.ErrnoException): string {
  if (!isFolder(cwd)) return `cannot start ${program}: the folder ${cwd} is missing`;
  if (error.code === "ENOENT") return `cannot start ${program}: no such program`;
  return `cannot start ${program}: ${error.message}`;
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
