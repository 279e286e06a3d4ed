import type { Commit } from "./objects.ts";
import type { RepositoryParts } from "./parts.ts";
import { assertObjectIds, branchRef, isBranchName } from "./ref-name.ts";

/** The commit that a branch points to now; `null` where there is no such branch, or no commit yet. */
export async function readBranchTip(
  { objects }: RepositoryParts,
  branch: string,
): Promise<Commit | null> {
  return isBranchName(branch) ? objects.readCommit(branchRef(branch)) : null;
}

/** Whether `ancestor` is `descendant` or can be reached from it. Refuses unknown commits. */
export async function isAncestor(
  { git }: RepositoryParts,
  { ancestor, descendant }: { readonly ancestor: string; readonly descendant: string },
): Promise<boolean> {
  assertObjectIds(ancestor, descendant);
  const args = ["merge-base", "--is-ancestor", ancestor, descendant];
  const { code } = await git.run(args, { allowExitCodes: [0, 1] });
  return code === 0;
}

/** Every path of a commit, from the top, in git's order. Submodules are one path each. */
export async function listFiles(
  { git }: RepositoryParts,
  commit: string,
): Promise<readonly string[]> {
  assertObjectIds(commit);
  const { stdout } = await git.run(["ls-tree", "-r", "-z", "--name-only", "--full-tree", commit]);
  return splitAtNul(stdout);
}

/** The pieces of output that ends each of them with NUL. */
export function splitAtNul(text: string): readonly string[] {
  return text.split("\0").slice(0, -1);
}
