import { existsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Refusal } from "../domain/failure.ts";

/** Where a repository's own configuration is. */
export const CONFIG_FOLDER = ".mycelium";
export const CONFIG_NAME = "config.yaml";

export interface ConfigSearch {
  /** What `--config` named; nothing else is tried then. */
  readonly configFile?: string | undefined;
  readonly cwd: string;
}

/**
 * The configuration to use: the file that was named, else `.mycelium/config.yaml` in the repository
 * that holds the current folder. Throws `repository-missing` or `config-missing`.
 */
export function locateConfig(search: ConfigSearch): string {
  if (search.configFile !== undefined) {
    const file = resolve(search.cwd, search.configFile);
    if (existsSync(file)) return file;
    throw new Refusal("config-missing", `there is no ${file}`, {
      hint: "name an existing file with --config, or write one with `mycelium init`",
      details: { path: file },
    });
  }
  const file = join(requireRepository(search.cwd), CONFIG_FOLDER, CONFIG_NAME);
  if (existsSync(file)) return file;
  throw new Refusal("config-missing", `there is no ${file}`, {
    hint: "write one with `mycelium init`, or name another with --config",
    details: { path: file },
  });
}

/** The top folder of the repository that holds `path`. Throws `repository-missing`. */
export function requireRepository(path: string): string {
  const repository = findRepository(path);
  if (repository !== null) return repository;
  throw new Refusal("repository-missing", `${path} is not in a git repository`, {
    hint: "go into a repository with a work tree, or make one with `git init`",
    details: { path },
  });
}

/** Walks up to the first folder with a `.git` that git would take for one. */
export function findRepository(path: string): string | null {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    if (isGitEntry(join(folder, ".git"))) return folder;
    if (dirname(folder) === folder) return null;
  }
}

/** A repository, or the file that points to one in work trees and submodules. */
function isGitEntry(path: string): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats !== undefined && (stats.isFile() || existsSync(join(path, "HEAD")));
}
