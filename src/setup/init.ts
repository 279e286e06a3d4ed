import { existsSync, lstatSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../config/environment.ts";
import { CONFIG_FOLDER, CONFIG_NAME } from "../config/locate.ts";
import { Refusal } from "../domain/failure.ts";
import { openGit, type Git } from "../git/git.ts";
import { locateRepository } from "../git/locate.ts";
import { writeFileAtomically } from "../lib/atomic-file.ts";
import { readTextFile } from "../lib/text-file.ts";
import { renderConfig } from "./config-template.ts";
import { guessCommands } from "./guess-commands.ts";

export interface InitRequest {
  /** Anywhere in the repository. */
  readonly cwd: string;
  /** Overwrite a configuration that is there. */
  readonly force: boolean;
  readonly environment: Pick<Environment, "path" | "userHome">;
}

export interface InitReport {
  readonly repository: string;
  /** The files that were written, absolute. */
  readonly written: readonly string[];
  readonly branch: string | null;
  readonly doctor: string | null;
  /** Required keys that nobody could guess: they have to be filled in before a run. */
  readonly missing: readonly string[];
}

const GITIGNORE_BYTES_MAX = 1_000_000;
const IGNORED = "tasks/";

/** What `symbolic-ref --quiet` answers where no branch is checked out. */
const NO_BRANCH = 1;

/**
 * Writes `.mycelium/config.yaml` with comments, and a `.gitignore` beside it that leaves planned
 * tasks out of the repository. Throws `repository-missing`, or `config-exists` unless forced.
 */
export async function initRepository(request: InitRequest): Promise<InitReport> {
  const { path, userHome } = request.environment;
  const git = openGit({ cwd: request.cwd, env: { PATH: path, HOME: userHome } });
  const { topLevel } = await locateRepository(git, request.cwd);
  if (topLevel === null) {
    throw new Refusal("repository-missing", `${request.cwd} is in no work tree`, {
      hint: "go into a clone that is not bare",
    });
  }
  const folder = join(topLevel, CONFIG_FOLDER);
  const file = join(folder, CONFIG_NAME);
  refuseOccupied(folder, file, request.force);
  const branch = await currentBranch(git);
  const commands = await guessCommands(topLevel);
  await mkdir(folder, { recursive: true });
  await writeFileAtomically(file, renderConfig({ ...commands, branch }));
  const ignore = await ignoreTasks(join(folder, ".gitignore"));
  const required = { main_branch: branch, doctor: commands.doctor };
  return {
    repository: topLevel,
    written: [file, ...ignore],
    branch,
    doctor: commands.doctor,
    missing: Object.entries(required).flatMap(([key, value]) => (value === null ? [key] : [])),
  };
}

function refuseOccupied(folder: string, file: string, force: boolean): void {
  const stats = lstatSync(folder, { throwIfNoEntry: false });
  if (stats !== undefined && !stats.isDirectory()) {
    throw new Refusal("config-exists", `${folder} is there and is no folder`, {
      hint: "move it away",
      details: { path: folder },
    });
  }
  if (force || !existsSync(file)) return;
  throw new Refusal("config-exists", `${file} is there already`, {
    hint: "edit it, or overwrite it with `mycelium init --force`",
    details: { path: file },
  });
}

async function currentBranch(git: Git): Promise<string | null> {
  const args = ["symbolic-ref", "--quiet", "--short", "HEAD"];
  const { code, stdout } = await git.run(args, { allowExitCodes: [0, NO_BRANCH] });
  return code === 0 ? stdout.trimEnd() : null;
}

/** Adds the line to what is there, and answers the file where it was changed. */
async function ignoreTasks(path: string): Promise<readonly string[]> {
  const file = await readTextFile(path, { bytesMax: GITIGNORE_BYTES_MAX, followLinks: false });
  if (!file.ok && file.reason !== "missing") {
    throw new Refusal("config-exists", `${path} ${file.message}`, { hint: "move it away" });
  }
  const text = file.ok ? file.text : "";
  if (text.split(/\r?\n/).some((line) => line.trim() === IGNORED)) return [];
  const separator = text === "" || text.endsWith("\n") ? "" : "\n";
  await writeFileAtomically(path, `${text}${separator}${IGNORED}\n`);
  return [path];
}
