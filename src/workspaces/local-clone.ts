import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { isRefName } from "../git/ref-name.ts";
import type { LocalLayout } from "./local-layout.ts";
import { runGit } from "./local-git.ts";
import type { WorkspaceSeed } from "./workspace.ts";
import { codeOf, workspaceFailure } from "./workspace-failure.ts";

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** In the clone's own configuration: a clone lives for one task and tidies nothing up. */
export const CLONE_SETTINGS = `[gc]
	auto = 0
[maintenance]
	auto = false
[core]
	fsync = none
[advice]
	detachedHead = false
[user]
	name = Mycelium
	email = mycelium@localhost
`;

export interface CloneRequest {
  readonly layout: LocalLayout;
  readonly seed: WorkspaceSeed;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/**
 * Makes the private clone: a repository written by hand that borrows the seed's objects and has one
 * branch, and one git process that fills the work tree. Nothing of the seed's configuration, hooks,
 * remotes or other refs comes along; its private excludes do, so that what a person keeps out of
 * commits stays out of a worker's.
 *
 * Filters that are configured outside of the repository (LFS, for one) do not run.
 */
export async function makeClone(request: CloneRequest): Promise<Result<void>> {
  const { layout, seed } = request;
  const ref = `refs/heads/${seed.branch}`;
  if (!isRefName(ref)) return workspaceFailure(`"${seed.branch}" is not a name for a branch`);
  if (!COMMIT.test(seed.commit)) return workspaceFailure(`"${seed.commit}" is not a commit's id`);
  const gitDir = join(layout.repository, ".git");
  writeRepository({ gitDir, seed, objects: [join(seed.gitDir, "objects")], head: `ref: ${ref}` });
  writeBelow(gitDir, ref, `${seed.commit}\n`);
  writeBelow(gitDir, "info/exclude", readOptional(join(seed.gitDir, "info/exclude")) ?? "");
  return runGit({
    arguments: ["read-tree", "-u", "--reset", "HEAD"],
    gitDir,
    workTree: layout.repository,
    cwd: layout.repository,
    env: request.env,
    timeoutMs: request.timeoutMs,
  });
}

export interface RepositoryRequest {
  readonly gitDir: string;
  readonly seed: Pick<WorkspaceSeed, "gitDir" | "objectFormat">;
  /** Folders of objects to borrow from. */
  readonly objects: readonly string[];
  /** The content of `HEAD`. */
  readonly head: string;
}

/**
 * Writes what git takes for a repository, without starting git. The handful of small files is
 * written synchronously: that costs a tenth of what the thread pool would.
 */
export function writeRepository({ gitDir, seed, objects, head }: RepositoryRequest): void {
  mkdirSync(join(gitDir, "refs/heads"), { recursive: true });
  writeBelow(gitDir, "config", repositoryConfig(seed.objectFormat));
  writeBelow(gitDir, "objects/info/alternates", objects.map((path) => `${path}\n`).join(""));
  const shallow = readOptional(join(seed.gitDir, "shallow"));
  if (shallow !== null) writeBelow(gitDir, "shallow", shallow);
  writeBelow(gitDir, "HEAD", `${head}\n`);
}

/** The configuration of a private clone. */
export function repositoryConfig(objectFormat: WorkspaceSeed["objectFormat"]): string {
  const isSha256 = objectFormat === "sha256";
  const version = `[core]\n\trepositoryformatversion = ${isSha256 ? 1 : 0}\n\tbare = false\n`;
  const extensions = isSha256 ? "[extensions]\n\tobjectformat = sha256\n" : "";
  return version + extensions + CLONE_SETTINGS;
}

function writeBelow(folder: string, path: string, content: string | Buffer): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

function readOptional(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return null;
  }
}
