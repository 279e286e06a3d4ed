import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NOTHING_MODE, type Change } from "./changes.ts";
import { splitAtNul } from "./commits.ts";
import type { Git, GitResult } from "./git.ts";
import { lockPathOf, retryWhile } from "./locks.ts";
import type { RepositoryParts } from "./parts.ts";

export interface AdvanceRequest {
  readonly path: string;
  readonly from: string;
  readonly to: string;
}

/** A worktree on its way. */
export interface Checkout extends AdvanceRequest {
  /** Run from within the worktree. */
  readonly git: Git;
  /** All that differs between `from` and `to`. */
  readonly changes: readonly Change[];
}

const CHECKOUT_TIMEOUT_MS = 600_000;
const FAILED = 128;

/** Takes index and files from one commit or tree to another, or leaves both. */
export function readTree(
  { clock }: RepositoryParts,
  { git, from, to }: Checkout,
): Promise<GitResult> {
  return retryWhile(
    clock,
    () =>
      git.run(["read-tree", "-m", "-u", from, to], {
        timeoutMs: CHECKOUT_TIMEOUT_MS,
        allowExitCodes: [0, 1, FAILED],
      }),
    ({ stderr }) => lockPathOf(stderr) !== null,
  );
}

/** Lets git notice files that were touched and not changed. Answers the lock in its way, if any. */
export async function refreshIndex({ clock }: RepositoryParts, git: Git): Promise<string | null> {
  const request = { timeoutMs: CHECKOUT_TIMEOUT_MS, allowExitCodes: [0, 1, FAILED] };
  const { stderr } = await retryWhile(
    clock,
    () => git.run(["update-index", "--refresh"], request),
    (result) => lockPathOf(result.stderr) !== null,
  );
  return lockPathOf(stderr);
}

/** The paths among the changes that `git diff-index` finds different from a commit. */
export async function listDifferent(
  { git, changes }: Checkout,
  against: readonly string[],
): Promise<ReadonlySet<string>> {
  const look = ["diff-index", "-z", "--name-only", "--no-renames", "--ignore-submodules=all"];
  const { stdout } = await git.run([...look, ...against, "--"], { timeoutMs: CHECKOUT_TIMEOUT_MS });
  const different = new Set(splitAtNul(stdout));
  return new Set(changes.map(({ path }) => path).filter((path) => different.has(path)));
}

/**
 * Lets the index know what is done already. Answers the tree that lies between `from` and `to`: git
 * goes on from there, where it would trip over a file that has taken a folder's place.
 */
export async function takeIntoIndex(
  { git, from }: Checkout,
  done: readonly Change[],
): Promise<string> {
  if (done.length === 0) return from;
  const lines = done.map(({ newMode, newId, path }) =>
    newMode === NOTHING_MODE ? `0 ${newId}\t${path}\0` : `${newMode} ${newId}\t${path}\0`,
  );
  const update = ["update-index", "-z", "--index-info"];
  const stdin = lines.join("");
  await git.run(update, { stdin });
  const folder = await mkdtemp(join(tmpdir(), "mycelium-index-"));
  try {
    const env = { GIT_INDEX_FILE: join(folder, "index") };
    await git.run(["read-tree", from], { env });
    await git.run(update, { env, stdin });
    return (await git.run(["write-tree"], { env })).stdout.trim();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
