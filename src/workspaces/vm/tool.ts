import { statSync, type Stats } from "node:fs";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { runProcess } from "../../lib/process.ts";
import { workspaceFailure } from "../workspace-failure.ts";

export interface ToolRequest {
  readonly command: readonly [string, ...string[]];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  readonly timeoutMs: number;
  readonly outputBytesMax?: number;
}

/** System tools such as `mke2fs` are not on everybody's path. */
const ENVIRONMENT = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C",
};

const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;

/** The file of a tool of this machine; `null` where there is none. */
export function findTool(
  name: string,
): (Pick<Stats, "mtimeMs" | "size" | "ino"> & { readonly path: string }) | null {
  for (const folder of ENVIRONMENT.PATH.split(":")) {
    const path = join(folder, name);
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) continue;
    return { path, mtimeMs: found.mtimeMs, size: found.size, ino: found.ino };
  }
  return null;
}

/** Runs a tool of this machine and answers its output; anything but exit code 0 is a failure. */
export async function runTool(request: ToolRequest): Promise<Result<Buffer>> {
  const { ending, stdout, stderr } = await runProcess({
    command: request.command,
    cwd: request.cwd ?? "/",
    env: { ...ENVIRONMENT, ...request.env },
    ...(request.stdin === undefined ? {} : { stdin: request.stdin }),
    timeoutMs: request.timeoutMs,
    outputBytesMax: request.outputBytesMax ?? OUTPUT_BYTES_MAX,
  });
  if (ending.kind === "exited" && ending.code === 0) return { ok: true, value: stdout.bytes };
  const program = request.command[0];
  if (ending.kind === "unstartable") {
    return workspaceFailure(ending.message, { details: { program, reason: "missing" } });
  }
  const how = ending.kind === "exited" ? `exit code ${ending.code}` : ending.kind;
  const said = stderr.bytes.toString().trim().slice(-2000);
  return workspaceFailure(`${program} failed (${how})${said === "" ? "" : `: ${said}`}`);
}
