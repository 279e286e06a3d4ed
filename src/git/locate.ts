import { realpath } from "node:fs/promises";
import { Refusal } from "../domain/failure.ts";
import type { Git } from "./git.ts";
import { gitFailed } from "./git-failed.ts";
import type { ObjectFormat } from "./parts.ts";

export interface RepositoryLocation {
  /** The common git directory, absolute, without symbolic links: what the repository is known by. */
  readonly gitDir: string;
  /** The main or linked worktree that the path is in; `null` in a bare repository. */
  readonly topLevel: string | null;
  /** Whether `topLevel` is the main worktree. */
  readonly isMainWorktree: boolean;
  readonly objectFormat: ObjectFormat;
}

/** git's own code for a question that it cannot answer here. */
const FATAL = 128;

const ARGS = [
  "rev-parse",
  "--path-format=absolute",
  "--show-object-format",
  "--git-common-dir",
  "--is-bare-repository",
  "--git-dir",
  "--is-inside-work-tree",
  // Last, because it fails where there is no worktree; the other answers are out by then.
  "--show-toplevel",
] as const;

/** Paths may hold line ends, so the words between them are what the answer is split by. */
const ANSWER = /^(sha1|sha256)\n(.+?)\n(?:true|false)\n(.+?)\n(true|false)\n(?:(.+)\n)?$/s;

/** Finds the repository of a path with one process. Refuses with `repository-missing`. */
export async function locateRepository(git: Git, path: string): Promise<RepositoryLocation> {
  const result = await git.run(ARGS, { allowExitCodes: [0, FATAL] });
  const match = ANSWER.exec(result.stdout);
  if (match === null) throw refuse(path, result);
  const [, format, commonDir = "", ownDir = "", isInside, topLevel] = match;
  return {
    objectFormat: format as ObjectFormat,
    gitDir: await realpath(commonDir),
    topLevel: isInside === "true" && topLevel !== undefined ? await realpath(topLevel) : null,
    isMainWorktree: (await realpath(commonDir)) === (await realpath(ownDir)),
  };
}

function refuse(path: string, result: { readonly code: number; readonly stderr: string }): Refusal {
  if (result.stderr.includes("dubious ownership")) {
    return new Refusal("repository-missing", `${path} belongs to another user`, {
      hint: `if you trust it: git config --global --add safe.directory ${path}`,
    });
  }
  if (!result.stderr.includes("not a git repository")) {
    return gitFailed(ARGS, {
      what: `failed with exit code ${result.code}`,
      exitCode: result.code,
      stderr: result.stderr,
    });
  }
  return new Refusal("repository-missing", `${path} is in no git repository`, {
    hint: "go to a git repository, make one with `git init`, or set `repo_path`",
  });
}
