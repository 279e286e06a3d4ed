import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { Refusal } from "../domain/failure.ts";
import { splitAtNul } from "./commits.ts";
import type { RepositoryParts } from "./parts.ts";
import { branchRef } from "./ref-name.ts";

/** Whether a checkout can follow its branch. Untracked files do not count. */
export type CheckoutState =
  | { readonly kind: "clean" }
  /** Tracked files differ from the commit, staged or not. */
  | { readonly kind: "dirty"; readonly paths: readonly string[] }
  /** In the middle of a merge, rebase, cherry-pick, revert or `am`. */
  | { readonly kind: "busy"; readonly operation: string };

/** Files in a worktree's git directory that stand for an operation which is not finished. */
const OPERATIONS = [
  ["MERGE_HEAD", "merge"],
  ["rebase-merge", "rebase"],
  ["rebase-apply", "rebase"],
  ["CHERRY_PICK_HEAD", "cherry-pick"],
  ["REVERT_HEAD", "revert"],
  ["sequencer", "cherry-pick or revert"],
] as const;

/** Where a rebase keeps the name of the branch that it will set at its end. */
const REBASED_BRANCH = ["rebase-merge/head-name", "rebase-apply/head-name"] as const;

/**
 * The worktree that has a branch checked out, or that is rebasing it; `null` where none has. One
 * process. Refuses with `checkout-blocked` where several have, which only force makes possible.
 */
export async function findCheckout(
  { git, gitDir, mainWorktree }: RepositoryParts,
  branch: string,
): Promise<string | null> {
  const { stdout } = await git.run(["worktree", "list", "--porcelain", "-z"]);
  const paths: string[] = [];
  for (const entry of parseWorktrees(stdout)) {
    if (entry.isGone) continue;
    // git takes the main worktree to be beside the git directory, which it need not be.
    const path = entry.path === gitDir ? mainWorktree : entry.path;
    const holds =
      entry.branch === branchRef(branch) ||
      (entry.isDetached && path !== null && rebasedBranch(path) === branchRef(branch));
    if (!holds) continue;
    if (path === null) throw severalOrUnknown(branch, [entry.path]);
    paths.push(path);
  }
  if (paths.length > 1) throw severalOrUnknown(branch, paths);
  return paths[0] ?? null;
}

/**
 * One process, and nothing is written, not even the index's own notes. Submodules do not count: git
 * leaves their folders alone when it checks out.
 */
export async function inspectCheckout(
  { git }: RepositoryParts,
  path: string,
): Promise<CheckoutState> {
  const operation = findOperation(path);
  if (operation !== null) return { kind: "busy", operation };
  const look = ["--porcelain=v1", "-z", "--untracked-files=no", "--no-renames"];
  const args = ["status", ...look, "--ignore-submodules=all"];
  const { stdout } = await git.at(path).run(args);
  // Two letters and a space stand before each path.
  const paths = splitAtNul(stdout).map((line) => line.slice(3));
  return paths.length === 0 ? { kind: "clean" } : { kind: "dirty", paths };
}

/** What a worktree is in the middle of, or `null`. */
export function findOperation(path: string): string | null {
  const gitDir = gitDirOf(path);
  if (gitDir === null) return null;
  return OPERATIONS.find(([file]) => existsSync(join(gitDir, file)))?.[1] ?? null;
}

interface Worktree {
  readonly path: string;
  readonly branch: string | null;
  readonly isDetached: boolean;
  /** Its folder does not exist any more, so that nobody can be disturbed there. */
  readonly isGone: boolean;
}

/** Attributes that end with NUL; one more NUL ends a worktree. */
function parseWorktrees(output: string): readonly Worktree[] {
  return output.split("\0\0").flatMap((block) => {
    const attributes = new Map(
      block.split("\0").map((line) => {
        const space = line.indexOf(" ");
        return space < 0 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)];
      }),
    );
    const path = attributes.get("worktree");
    if (path === undefined || attributes.has("bare")) return [];
    return {
      path,
      branch: attributes.get("branch") ?? null,
      isDetached: attributes.has("detached"),
      isGone: attributes.has("prunable"),
    };
  });
}

function rebasedBranch(path: string): string | null {
  const gitDir = gitDirOf(path);
  if (gitDir === null) return null;
  for (const file of REBASED_BRANCH) {
    const fullPath = join(gitDir, file);
    if (existsSync(fullPath)) return readFileSync(fullPath, "utf8").trim();
  }
  return null;
}

/** A worktree's own git directory: `.git`, or what the file `.git` names. */
function gitDirOf(path: string): string | null {
  const entry = join(path, ".git");
  const stat = statSync(entry, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (stat.isDirectory()) return entry;
  const match = /^gitdir: (.+?)\n?$/s.exec(readFileSync(entry, "utf8"));
  return match?.[1] === undefined ? null : resolve(path, match[1]);
}

function severalOrUnknown(branch: string, paths: readonly string[]): Refusal {
  const where = paths.join(" and ");
  return paths.length > 1
    ? new Refusal("checkout-blocked", `branch ${branch} is checked out several times: ${where}`, {
        hint: "keep it in one worktree: `git switch` in the others",
        details: { paths },
      })
    : new Refusal("checkout-blocked", `the worktree of ${where} has ${branch} checked out`, {
        hint: "run Mycelium from within that worktree, or check out another branch there",
        details: { paths },
      });
}
