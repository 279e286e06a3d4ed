import { resolve } from "node:path/posix";
import type { Readable } from "node:stream";
import type { Result } from "../../domain/failure.ts";
import type { ProcessResult } from "../../lib/process.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { INSIDE_PATTERN } from "./enter.ts";
import { INSIDE } from "./layout.ts";

/** Runs a script of ours inside, with raw output. */
export type RunInside = (request: {
  readonly command: readonly [string, ...string[]];
  readonly stdin?: string | Buffer | Readable;
  readonly outputBytesMax: number;
  readonly onOutput?: (stream: "stdout" | "stderr", chunk: Buffer) => void;
  readonly signal?: AbortSignal;
  /** That of small files where it is left out. */
  readonly timeoutMs?: number;
}) => Promise<ProcessResult>;

const MISSING = 93;
const OUTSIDE = 94;
const NOT_A_FILE = 95;
export const TOO_LARGE = 96;
export const NOT_A_FOLDER = 98;

const REASONS: Readonly<Record<number, readonly [reason: string, message: string]>> = {
  [MISSING]: ["missing", "there is no such file"],
  [OUTSIDE]: ["outside", "leads out of the workspace"],
  [NOT_A_FILE]: ["not-a-file", "is not a regular file"],
  [NOT_A_FOLDER]: ["not-a-folder", "is not a folder"],
  [TOO_LARGE]: ["too-large", "is larger than allowed"],
};

/**
 * Everything happens inside and as the sandbox's own user, so that whatever links somebody puts up
 * at the same moment lead nowhere but inside.
 */
const FUNCTIONS = `
check() { case $1 in ${INSIDE_PATTERN}) ;; *) exit ${OUTSIDE} ;; esac; }
plain() { [ -f "$1" ] || exit ${NOT_A_FILE}; }
`;

/** For what reads: the path without links in \`real\`, refused outside. */
export const LOCATE = `${FUNCTIONS}
real=$(readlink -e -- "$1") || exit ${MISSING}
check "$real"
`;

/** The same for a regular file. */
export const LOCATE_FILE = `${LOCATE}
plain "$real"
`;

/** For what writes: the regular file, or the place for one, in \`target\`; its folders are made. */
export const LOCATE_TARGET = `${FUNCTIONS}
folder=$(readlink -m -- "$(dirname -- "$1")") || exit ${OUTSIDE}
check "$folder"
mkdir -p -- "$folder" || exit ${NOT_A_FILE}
target=$folder/$(basename -- "$1")
if [ -L "$target" ]; then target=$(readlink -e -- "$target") || exit ${OUTSIDE}; fi
check "$target"
[ ! -e "$target" ] || plain "$target"
`;

const READ = `${LOCATE_FILE}
[ "$(stat -c %s -- "$real")" -le "$2" ] || exit ${TOO_LARGE}
exec head -c "$2" -- "$real"
`;

const WRITE = `${LOCATE_TARGET}
exec cat > "$target"
`;

const STDERR_BYTES_MAX = 4096;

/** Reasons are those of `confined-files.ts`. */
export async function readInside(
  run: RunInside,
  path: string,
  bytesMax: number,
): Promise<Result<Buffer>> {
  const located = locateInside(path);
  if (!located.ok) return located;
  const command = ["/bin/sh", "-c", READ, "read", located.value, String(bytesMax)] as const;
  const result = await run({ command, outputBytesMax: Math.max(bytesMax, STDERR_BYTES_MAX) });
  const failure = failureInside(path, result);
  return failure ?? { ok: true, value: result.stdout.bytes };
}

export async function writeInside(
  run: RunInside,
  path: string,
  content: string | Buffer,
): Promise<Result<void>> {
  const located = locateInside(path);
  if (!located.ok) return located;
  const command = ["/bin/sh", "-c", WRITE, "write", located.value] as const;
  const result = await run({ command, stdin: content, outputBytesMax: STDERR_BYTES_MAX });
  return failureInside(path, result) ?? { ok: true, value: undefined };
}

/** As the path reads, before any link is followed. */
export function locateInside(path: string): Result<string> {
  const located = resolve(INSIDE.repository, path);
  const roots = [INSIDE.repository, INSIDE.context, INSIDE.temporary, INSIDE.home];
  const isInside = roots.some((root) => located === root || located.startsWith(`${root}/`));
  if (isInside && !path.includes("\0")) return { ok: true, value: located };
  return refused(path, "outside", "leads out of the workspace");
}

/** `null` where the script went well. */
export function failureInside(
  path: string,
  { ending, stderr }: ProcessResult,
): Result<never> | null {
  if (ending.kind === "exited" && ending.code === 0) return null;
  const known = ending.kind === "exited" ? REASONS[ending.code] : undefined;
  if (known !== undefined) return refused(path, ...known);
  const said = ending.kind === "unstartable" ? ending.message : stderr.bytes.toString().trim();
  return refused(path, ending.kind === "exited" ? "failed" : ending.kind, said);
}

export function refused(path: string, reason: string, message: string): Result<never> {
  return workspaceFailure(`${path}: ${message}`, { details: { path, reason } });
}
