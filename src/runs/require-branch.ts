import { Refusal } from "../domain/failure.ts";
import type { Repository } from "../git/repository.ts";

const PATHS_NAMED_MAX = 10;

/** The commit that the integration branch is at. */
export async function requireBranch(repository: Repository, branch: string): Promise<string> {
  const tip = await repository.branchTip(branch);
  if (tip !== null) return tip.commit;
  throw new Refusal("branch-missing", `there is no branch ${branch} in ${repository.gitDir}`, {
    hint: `make it with a first commit, or set main_branch in the configuration`,
  });
}

/**
 * Where the integration branch is checked out it will be moved along: nothing uncommitted may be
 * there. Answers why not, `null` where all is well.
 */
export async function findDirtyCheckout(
  repository: Repository,
  branch: string,
): Promise<Refusal | null> {
  const path = await repository.findCheckout(branch);
  if (path === null) return null;
  const state = await repository.inspectCheckout(path);
  if (state.kind === "clean") return null;
  if (state.kind === "busy") {
    const what = `${branch} is checked out at ${path}, where a ${state.operation} is in progress`;
    const hint = `finish or abort the ${state.operation}, then try again`;
    return new Refusal("branch-dirty", what, { hint, details: { path } });
  }
  const named = state.paths.slice(0, PATHS_NAMED_MAX).join(", ");
  const what = `${branch} is checked out at ${path} with uncommitted changes: ${named}`;
  return new Refusal("branch-dirty", what, {
    hint: "commit or stash them, or check out another branch there",
    details: { path, paths: state.paths },
  });
}
