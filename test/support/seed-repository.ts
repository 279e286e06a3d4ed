import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProcess } from "../../src/lib/process.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const TIMEOUT_MS = 60_000;

const ENVIRONMENT = {
  PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
  LC_ALL: "C",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_AUTHOR_NAME: "A Person",
  GIT_AUTHOR_EMAIL: "person@localhost",
  GIT_COMMITTER_NAME: "A Person",
  GIT_COMMITTER_EMAIL: "person@localhost",
};

/** A real repository of one commit, as workspaces are made from. */
export interface SeedRepository extends AsyncDisposable {
  readonly path: string;
  readonly gitDir: string;
  readonly objectFormat: "sha1" | "sha256";
  /** The commit. */
  readonly head: string;
  /** What git answers, without the white space around it; a failure throws with what git said. */
  git(...args: string[]): Promise<string>;
}

export const SEED_FILES = {
  "README.md": "# Seed\n",
  "src/main.js": "console.log(1);\n",
  "package.json": '{"name": "seed"}\n',
} as const;

export async function seedRepository(
  objectFormat: "sha1" | "sha256" = "sha1",
): Promise<SeedRepository> {
  const folder = await temporaryFolder();
  const path = join(folder.path, "seed");
  const git = (...args: string[]): Promise<string> => runGit(path, args);
  await runGit(folder.path, ["init", "-q", "-b", "main", "--object-format", objectFormat, path]);
  await runShell(path, "mkdir src && ln -s src/main.js link.js");
  for (const [file, content] of Object.entries(SEED_FILES)) {
    await writeFile(join(path, file), content);
  }
  await runShell(path, "printf '#!/bin/sh\\n' > run.sh && chmod +x run.sh");
  await git("add", "-A");
  await git("commit", "-q", "-m", "seed");
  const head = await git("rev-parse", "HEAD");
  const gitDir = join(path, ".git");
  const dispose = async (): Promise<void> => folder[Symbol.asyncDispose]();
  return { path, gitDir, objectFormat, head, git, [Symbol.asyncDispose]: dispose };
}

async function runGit(cwd: string, args: readonly string[]): Promise<string> {
  return run(cwd, ["git", ...args]);
}

async function runShell(cwd: string, script: string): Promise<string> {
  return run(cwd, ["/bin/sh", "-c", script]);
}

async function run(cwd: string, command: readonly [string, ...string[]]): Promise<string> {
  const { ending, stdout, stderr } = await runProcess({
    command,
    cwd,
    env: ENVIRONMENT,
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: 1_000_000,
  });
  if (ending.kind === "exited" && ending.code === 0) return stdout.bytes.toString().trim();
  throw new Error(`${command.join(" ")}: ${JSON.stringify(ending)} ${stderr.bytes.toString()}`);
}
