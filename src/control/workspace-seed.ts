import { resolve } from "node:path";
import { Refusal } from "../domain/failure.ts";
import { openGit } from "../git/git.ts";
import { openRepository } from "../git/repository.ts";
import type { WorkspaceSeed } from "../workspaces/workspace.ts";
import type { OperationContext } from "./operation.ts";

/** Git's own code for a question that it cannot answer. */
const FATAL = 128;

export interface SeedQuestion {
  readonly repo: string | undefined;
  readonly commit: string | undefined;
  /** The branch that is checked out in the workspace. */
  readonly branch: string;
}

/** `null` where no repository was named. */
export async function findSeed(
  { environment, cwd, clock }: OperationContext,
  { repo, commit = "HEAD", branch }: SeedQuestion,
): Promise<WorkspaceSeed | null> {
  if (repo === undefined) return null;
  const env = { PATH: environment.path, HOME: environment.userHome };
  const path = resolve(cwd, repo);
  await using repository = await openRepository({ path, env, clock });
  const { gitDir, objectFormat } = repository;
  // Asked from the folder: each worktree has a HEAD of its own.
  const question = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${commit}^{commit}`];
  const git = openGit({ cwd: path, env });
  const { code, stdout } = await git.run(question, { allowExitCodes: [0, 1, FATAL] });
  if (code === 0) return { gitDir, objectFormat, commit: stdout.trim(), branch };
  throw new Refusal("branch-missing", `${repo} has no commit ${JSON.stringify(commit)}`, {
    hint: "name a branch, a tag or a commit",
  });
}
