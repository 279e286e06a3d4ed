import { statfsSync } from "node:fs";
import { Refusal } from "../domain/failure.ts";

export interface GitTrouble {
  /** Goes after the command's name. */
  readonly what: string;
  readonly exitCode?: number;
  readonly stderr?: string;
  /** Where the command would have written. */
  readonly folder?: string;
}

/** A line of git's own. Lines that quote an object are left out: a worker may have made it. */
const OWN_LINE = /^(?!.*\bobject [0-9a-f]{40,}:)(?:fatal|error): .*$/gm;
const DISK_FULL = /No space left on device|Disk quota exceeded|Out of diskspace/;
/** Said without a cause. */
const NOT_WRITTEN = /couldn't write|unable to write|failed to write|write error/;

/** With less than this, a write that failed without a cause has failed for want of room. */
const ROOM_BYTES_MIN = 1024 * 1024;

const STDERR_CHARACTERS_MAX = 4_000;

/** The `Refusal` for a git command that gave no answer: `disk-full` or `git-failed`. */
export function gitFailed(args: readonly string[], trouble: GitTrouble): Refusal {
  const stderr = (trouble.stderr ?? "").trim().slice(-STDERR_CHARACTERS_MAX);
  const details = { command: ["git", ...args], exitCode: trouble.exitCode ?? null, stderr };
  if (saysDiskFull(stderr, () => roomBytes(trouble.folder))) {
    return new Refusal("disk-full", `no space left on the disk for \`git ${args[0]}\``, {
      details,
      hint: "make room on the disk that holds the repository, then try again",
    });
  }
  const said = stderr.split("\n").find((line) => /^(?:fatal|error): /.test(line));
  const message = `\`git ${args[0]}\` ${trouble.what}${said === undefined ? "" : `: ${said}`}`;
  return new Refusal("git-failed", message, { details });
}

/** Whether git failed for want of room. It does not always say so, and then the disk is asked. */
export function saysDiskFull(stderr: string, room: () => number): boolean {
  const lines = (stderr.match(OWN_LINE) ?? []).join("\n");
  return DISK_FULL.test(lines) || (NOT_WRITTEN.test(lines) && room() < ROOM_BYTES_MIN);
}

function roomBytes(folder: string | undefined): number {
  if (folder === undefined) return Infinity;
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
