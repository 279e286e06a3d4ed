import { accessSync, constants } from "node:fs";
import { chmod, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** Counts the git processes of whoever searches `git` on its `path`. */
export interface GitCounter {
  /** A `PATH` on which the counting `git` comes first. */
  readonly path: string;
  /** How many there were since the last `reset`. */
  count(): Promise<number>;
  reset(): Promise<void>;
}

/**
 * Puts a `git` into `folder` that adds one byte to a file and becomes the real one. It sees each
 * process that a program starts, and not the helpers that git starts of its own: those do not go by
 * the `PATH`.
 */
export async function makeGitCounter(folder: string, path: string): Promise<GitCounter> {
  const tally = join(folder, "tally");
  const programs = join(folder, "programs");
  await mkdir(programs, { recursive: true });
  const program = join(programs, "git");
  const script = `#!/bin/sh\nprintf . >>${quote(tally)}\nexec ${quote(findGit(path))} "$@"\n`;
  await writeFile(program, script);
  await chmod(program, 0o755);
  return {
    path: [programs, path].join(delimiter),
    count: async () => (await stat(tally).catch(() => ({ size: 0 }))).size,
    reset: () => rm(tally, { force: true }),
  };
}

function findGit(path: string): string {
  const found = path
    .split(delimiter)
    .map((folder) => join(folder, "git"))
    .find(isExecutable);
  if (found === undefined) throw new Error("there is no git on the PATH");
  return found;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
