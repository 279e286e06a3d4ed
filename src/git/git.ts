import { existsSync } from "node:fs";
import { Refusal } from "../domain/failure.ts";
import { runProcess, type ProcessResult } from "../lib/process.ts";
import { startConversation, type GitConversation } from "./conversation.ts";
import { gitFailed } from "./git-failed.ts";

const DEFAULT_TIMEOUT_MS = 120_000;
const DEFAULT_OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Before every command: nothing that a repository or its configuration names is run, nothing is
 * tidied up behind anyone's back, and no answer depends on the user's taste.
 */
const HARDENING = [
  "core.hooksPath=/dev/null",
  "core.fsmonitor=false",
  "gc.auto=0",
  "maintenance.auto=false",
  "commit.gpgSign=false",
  "submodule.recurse=false",
  "i18n.commitEncoding=UTF-8",
  "trailer.separators=:",
].flatMap((setting) => ["-c", setting]);

/** Who writes in reflogs and notes, and on commits where nobody else is named. */
export const OWN_IDENTITY = { name: "Mycelium", email: "mycelium@localhost" } as const;

const FIXED_ENVIRONMENT = {
  LC_ALL: "C",
  GIT_TERMINAL_PROMPT: "0",
  GIT_OPTIONAL_LOCKS: "0",
  GIT_NO_REPLACE_OBJECTS: "1",
  GIT_LITERAL_PATHSPECS: "1",
  GIT_PAGER: "cat",
  GIT_EDITOR: "false",
  GIT_AUTHOR_NAME: OWN_IDENTITY.name,
  GIT_AUTHOR_EMAIL: OWN_IDENTITY.email,
  GIT_COMMITTER_NAME: OWN_IDENTITY.name,
  GIT_COMMITTER_EMAIL: OWN_IDENTITY.email,
} as const;

/** All that is taken over of the caller's environment: where programs and the user's own settings are. */
const PASSED_ON = ["PATH", "HOME", "XDG_CONFIG_HOME"] as const;

export interface GitOptions {
  /** Where git looks for the repository; with `gitDir`, only where it runs. */
  readonly cwd: string;
  /** The repository's own folder, where it is known: nothing is searched then. */
  readonly gitDir?: string;
  /** Only `PATH`, `HOME` and `XDG_CONFIG_HOME` are taken from it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `git` on the `PATH` by default. */
  readonly program?: string;
  /** Told of each process that is started, for counting. Must not throw. */
  readonly onStart?: (args: readonly string[]) => void;
}

export interface GitRequest {
  readonly stdin?: string | Buffer;
  /** Two minutes by default. When it passes, git and all that it started is killed. */
  readonly timeoutMs?: number;
  /** Codes that are an answer and no failure; only 0 by default. */
  readonly allowExitCodes?: readonly number[];
  /** 64 MiB by default. More is a failure: nothing is ever decided on half an answer. */
  readonly outputBytesMax?: number;
  /** Settings for this command only, as `name=value`. */
  readonly config?: readonly string[];
  /** Added to the fixed environment. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface GitResult {
  readonly code: number;
  /** Decoded as UTF-8; bytes that are none become U+FFFD. */
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs git, hardened. Whatever is not an allowed answer is a `Refusal`. */
export interface Git {
  /**
   * Refuses with `program-missing`, `repository-missing` (the folder is gone), `disk-full`, or
   * `git-failed` with the command, the exit code and the end of what git said.
   */
  run(args: readonly string[], request?: GitRequest): Promise<GitResult>;
  /** A long-lived git that answers questions; started by the first one. */
  converse(args: readonly string[]): GitConversation;
  /** The same git, looking for its repository from another folder: a worktree. */
  at(cwd: string): Git;
}

export function openGit(options: GitOptions): Git {
  const env = environmentOf(options.env);
  const commandOf = (args: readonly string[], config: readonly string[]): [string, ...string[]] => [
    options.program ?? "git",
    ...(options.gitDir === undefined ? [] : [`--git-dir=${options.gitDir}`]),
    "--no-pager",
    ...HARDENING,
    ...config.flatMap((setting) => ["-c", setting]),
    ...args,
  ];
  return {
    run: async (args, request = {}) => {
      options.onStart?.(args);
      const result = await runProcess({
        command: commandOf(args, request.config ?? []),
        cwd: options.cwd,
        env: { ...env, ...request.env },
        ...(request.stdin === undefined ? {} : { stdin: request.stdin }),
        timeoutMs: request.timeoutMs ?? DEFAULT_TIMEOUT_MS,
        outputBytesMax: request.outputBytesMax ?? DEFAULT_OUTPUT_BYTES_MAX,
      });
      return judge({ args, request, result, cwd: options.cwd });
    },
    converse: (args) =>
      startConversation({
        start: () => {
          options.onStart?.(args);
          return { command: commandOf(args, []), cwd: options.cwd, env };
        },
        args,
      }),
    at: (cwd) => {
      const { gitDir: _, ...rest } = options;
      return openGit({ ...rest, cwd });
    },
  };
}

interface Ran {
  readonly args: readonly string[];
  readonly request: GitRequest;
  readonly result: ProcessResult;
  readonly cwd: string;
}

function judge({ args, request, result, cwd }: Ran): GitResult {
  const { ending } = result;
  const stderr = result.stderr.bytes.toString("utf8");
  switch (ending.kind) {
    case "unstartable":
      throw unstartable(ending.message, cwd);
    case "timed-out": {
      const seconds = Math.ceil((request.timeoutMs ?? DEFAULT_TIMEOUT_MS) / 1000);
      throw gitFailed(args, { what: `did not end within ${seconds} s`, stderr });
    }
    case "aborted":
      throw gitFailed(args, { what: "was stopped", stderr });
    case "signalled":
      throw gitFailed(args, { what: `was ended by ${ending.signal}`, stderr });
    case "exited":
      break;
  }
  if (!(request.allowExitCodes ?? [0]).includes(ending.code)) {
    const what = `failed with exit code ${ending.code}`;
    throw gitFailed(args, { what, exitCode: ending.code, stderr, folder: cwd });
  }
  if (result.stdout.droppedBytes > 0) {
    throw gitFailed(args, { what: `answered ${result.stdout.totalBytes} bytes, too many` });
  }
  return { code: ending.code, stdout: result.stdout.bytes.toString("utf8"), stderr };
}

function unstartable(message: string, cwd: string): Refusal {
  if (!existsSync(cwd)) {
    return new Refusal("repository-missing", `the folder ${cwd} is gone`, {
      hint: "check `repo_path` in the configuration",
    });
  }
  return new Refusal("program-missing", message, {
    hint: "install git 2.39 or newer, and see that it is on the PATH",
  });
}

function environmentOf(given: GitOptions["env"]): Record<string, string> {
  const passedOn = PASSED_ON.flatMap((name) => {
    const value = given[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(passedOn), ...FIXED_ENVIRONMENT };
}
