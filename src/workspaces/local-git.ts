import type { Result } from "../domain/failure.ts";
import { runProcess, type ProcessEnding } from "../lib/process.ts";
import { workspaceFailure } from "./workspace-failure.ts";

/** Where commands are found when nobody says. */
export const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";

const OUTPUT_BYTES_MAX = 16_384;

/**
 * What keeps git from running, asking or fetching anything by configuration. `-c` beats the
 * repository's own configuration, and no other is read.
 */
export const HARDENED_OPTIONS: readonly string[] = [
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "core.untrackedCache=false",
  "gc.auto=0",
  "maintenance.auto=false",
  "commit.gpgSign=false",
  "submodule.recurse=false",
].flatMap((setting) => ["-c", setting]);

export const HARDENED_ENVIRONMENT: Readonly<Record<string, string>> = {
  LC_ALL: "C",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_ATTR_NOSYSTEM: "1",
  GIT_TERMINAL_PROMPT: "0",
  GIT_NO_REPLACE_OBJECTS: "1",
  GIT_NO_LAZY_FETCH: "1",
  // An empty list: no protocol at all, so that a promisor remote is never asked.
  GIT_ALLOW_PROTOCOL: "",
  GIT_SSH_COMMAND: "false",
  GIT_EDITOR: "true",
};

export interface GitRequest {
  readonly arguments: readonly string[];
  readonly gitDir: string;
  readonly workTree?: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Files that it writes may not grow beyond this. */
  readonly fileBytesMax?: number;
}

/** One hardened git process on a repository that is named outright, never searched for. */
export async function runGit(request: GitRequest): Promise<Result<void>> {
  const git = ["git", ...HARDENED_OPTIONS, ...request.arguments] as const;
  const { ending, stderr } = await runProcess({
    command: request.fileBytesMax === undefined ? git : limited(request.fileBytesMax, git),
    cwd: request.cwd,
    env: {
      ...request.env,
      ...HARDENED_ENVIRONMENT,
      GIT_DIR: request.gitDir,
      ...(request.workTree === undefined ? {} : { GIT_WORK_TREE: request.workTree }),
    },
    timeoutMs: request.timeoutMs,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  if (ending.kind === "exited" && ending.code === 0) return { ok: true, value: undefined };
  const said = stderr.bytes.toString().trim();
  const command = `git ${request.arguments[0]}`;
  return workspaceFailure(`${command} ${describeEnding(ending)}${said === "" ? "" : `: ${said}`}`);
}

function describeEnding(ending: ProcessEnding): string {
  if (ending.kind === "exited") return `failed with exit code ${ending.code}`;
  if (ending.kind === "signalled") return `was ended by ${ending.signal}`;
  if (ending.kind === "unstartable") return `did not start: ${ending.message}`;
  return "took too long and was ended";
}

/** The shell counts in blocks of 512 bytes. */
function limited(
  fileBytesMax: number,
  command: readonly [string, ...string[]],
): readonly [string, ...string[]] {
  const blocks = String(Math.ceil(fileBytesMax / 512));
  return ["/bin/sh", "-c", 'ulimit -f "$0" && exec "$@"', blocks, ...command];
}
