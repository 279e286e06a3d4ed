import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { openRepository, type Repository } from "../../src/git/repository.ts";
import { systemClock, type Clock } from "../../src/lib/clock.ts";
import { runProcess } from "../../src/lib/process.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export interface TestRepositoryOptions {
  readonly objectFormat?: "sha1" | "sha256";
  /** The name of its folder; `repository` by default. */
  readonly name?: string;
}

/** A real repository with one commit on `main`, in a folder of its own; gone with `await using`. */
export interface TestRepository extends AsyncDisposable {
  /** Holds the repository, an empty home and whatever the test puts beside them. */
  readonly folder: string;
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
  /** The first commit. */
  readonly base: string;
  /** Runs git as its user would and answers what it printed, trimmed. Throws where it fails. */
  git(...args: readonly string[]): Promise<string>;
  gitIn(cwd: string, args: readonly string[], stdin?: string | Buffer): Promise<string>;
  write(path: string, content: string): Promise<void>;
  /** Writes files (`null` removes one) in the worktree and commits all; answers the commit. */
  commit(files: Readonly<Record<string, string | null>>, message?: string): Promise<string>;
  /** The same on another branch, from a commit, with the worktree back on `main` at the end. */
  commitOn(base: string, files: Readonly<Record<string, string | null>>): Promise<string>;
  open(options?: OpenOptions): Promise<Repository>;
}

export interface OpenOptions {
  readonly path?: string;
  readonly clock?: Clock;
  readonly program?: string;
  readonly onStart?: (args: readonly string[]) => void;
}

const IDENTITY = {
  GIT_AUTHOR_NAME: "Test Author",
  GIT_AUTHOR_EMAIL: "author@example.invalid",
  GIT_COMMITTER_NAME: "Test Committer",
  GIT_COMMITTER_EMAIL: "committer@example.invalid",
} as const;

const GIT_TIMEOUT_MS = 60_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

export async function makeGitRepository(
  options: TestRepositoryOptions = {},
): Promise<TestRepository> {
  const temporary = await temporaryFolder();
  const folder = temporary.path;
  const home = join(folder, "home");
  const path = join(folder, options.name ?? "repository");
  await mkdir(home);
  const env = { PATH: process.env["PATH"] ?? "", HOME: home, LC_ALL: "C", ...IDENTITY };
  const gitIn: TestRepository["gitIn"] = (cwd, args, stdin) => runGit(cwd, env, args, stdin);
  const git = (...args: readonly string[]): Promise<string> => gitIn(path, args);
  const write = (file: string, content: string): Promise<void> => writeIn(path, file, content);

  const format = `--object-format=${options.objectFormat ?? "sha1"}`;
  await gitIn(folder, ["-c", "init.defaultBranch=main", "init", "--quiet", format, path]);
  const commit: TestRepository["commit"] = async (files, message = "a change") => {
    for (const [file, content] of Object.entries(files)) {
      if (content === null) await git("rm", "--quiet", "--", file);
      else await write(file, content);
    }
    await git("add", "--all", "--force", ".");
    await git("commit", "--quiet", "--allow-empty", "-m", message);
    return git("rev-parse", "HEAD");
  };
  const base = await commit(
    { "README.md": "# Test\n", "src/app.txt": "one\ntwo\nthree\n" },
    "base",
  );
  return {
    folder,
    path,
    env,
    base,
    git,
    gitIn,
    write,
    commit,
    commitOn: async (start, files) => {
      await git("checkout", "--quiet", "--detach", start);
      const made = await commit(files);
      await git("checkout", "--quiet", "main");
      return made;
    },
    open: ({ path: at = path, clock = systemClock, ...rest } = {}) =>
      openRepository({ path: at, env, clock, ...rest }),
    [Symbol.asyncDispose]: () => temporary[Symbol.asyncDispose](),
  };
}

export async function writeIn(folder: string, path: string, content: string): Promise<void> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

const HOOKS = [
  "applypatch-msg",
  "commit-msg",
  "fsmonitor-watchman",
  "post-checkout",
  "post-commit",
  "post-index-change",
  "post-merge",
  "post-receive",
  "post-rewrite",
  "post-update",
  "pre-auto-gc",
  "pre-commit",
  "pre-merge-commit",
  "pre-receive",
  "prepare-commit-msg",
  "proc-receive",
  "push-to-checkout",
  "reference-transaction",
  "sendemail-validate",
  "update",
] as const;

/** Puts every hook there is into a repository. Answers the names of those that have run since. */
export async function installTellTaleHooks(
  repository: TestRepository,
): Promise<() => Promise<string>> {
  const log = join(repository.folder, "hooks-that-ran");
  const script = `#!/bin/sh\necho "$(basename "$0")" >> '${log}'\n`;
  for (const hook of HOOKS) {
    const file = join(repository.path, ".git", "hooks", hook);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, script);
    await chmod(file, 0o755);
  }
  const monitor = join(repository.path, ".git", "hooks", "fsmonitor-watchman");
  await repository.git("config", "core.fsmonitor", monitor);
  await writeFile(log, "");
  return () => (existsSync(log) ? readFile(log, "utf8") : Promise.resolve(""));
}

/** A clock for tests of retries: sleeping takes no time, and each sleep is told first. */
export function makeEagerClock(
  onSleep: (ms: number) => void | Promise<void> = () => undefined,
): Clock {
  return { ...systemClock, sleep: async (ms) => onSleep(ms) };
}

async function runGit(
  cwd: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[],
  stdin?: string | Buffer,
): Promise<string> {
  const result = await runProcess({
    command: ["git", ...args],
    cwd,
    env,
    ...(stdin === undefined ? {} : { stdin }),
    timeoutMs: GIT_TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  if (result.ending.kind !== "exited" || result.ending.code !== 0) {
    throw new Error(`git ${args.join(" ")}: ${result.stderr.bytes.toString()}`);
  }
  return result.stdout.bytes.toString().trim();
}
