import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Refusal } from "../domain/failure.ts";
import { checkShape, listProblems, type Problem } from "../domain/problem.ts";
import { usageSchema, type Usage } from "../domain/usage.ts";

/** Everything that Mycelium takes from its environment variables. */
export interface Environment {
  /** Mycelium's own folder: database, runs, workspaces. Absolute. */
  readonly home: string;
  /** What can be made again: images and booted machines. Absolute; in `home` where nobody says. */
  readonly cache: string;
  /** The folder with the shared notes. Absolute; in `home` where nobody says. */
  readonly vault: string;
  /** What the commits of one workspace may have as a pack to be merged, in MiB. */
  readonly mergeMb: number;
  /** Use the mock planner and the mock agent. */
  readonly mockLlm: boolean;
  /** The mock model's reply: a file (absolute), or the reply itself, which wins. */
  readonly mockLlmOutputPath: string | null;
  readonly mockLlmOutput: string | null;
  /** What the mock agent reports to have used. */
  readonly mockUsage: Usage | null;
  readonly path: string;
  readonly userHome: string;
  readonly lang: string | null;
  readonly user: string | null;
  readonly noColor: boolean;
  /** The moment at which a test ends the process; see `lib/crash-point.ts`. */
  readonly crashAt: string | null;
  /** Any other variable: those that `${NAME}` and `pass_env` name. */
  readonly lookup: (name: string) => string | undefined;
}

export interface EnvironmentSource {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** What `--home` named; wins over `MYCELIUM_HOME`. */
  readonly home?: string | undefined;
}

const PATH_BY_DEFAULT = "/usr/local/bin:/usr/bin:/bin";

/** Reads and checks the variables. Throws `config-invalid` that names the one that makes no sense. */
export function readEnvironment(source: EnvironmentSource): Environment {
  const { cwd, variables } = source;
  // Not what every object inherits: `constructor` is no variable.
  const lookup = (name: string): string | undefined => {
    return Object.hasOwn(variables, name) ? variables[name] : undefined;
  };
  // An empty variable is one that somebody cleared.
  const text = (name: string): string | null => lookup(name) || null;
  const userHome = text("HOME") ?? homedir();
  const home = source.home ?? text("MYCELIUM_HOME") ?? join(userHome, ".mycelium");
  const replyFile = text("MOCK_LLM_OUTPUT_PATH");
  return {
    home: resolve(cwd, home),
    cache: resolve(cwd, text("MYCELIUM_CACHE") ?? join(resolve(cwd, home), "cache")),
    vault: resolve(cwd, text("MYCELIUM_VAULT") ?? join(resolve(cwd, home), "vault")),
    mergeMb: readMegabytes("MYCELIUM_MERGE_MB", text("MYCELIUM_MERGE_MB")),
    mockLlm: readSwitch("MOCK_LLM", text("MOCK_LLM")),
    mockLlmOutputPath: replyFile === null ? null : resolve(cwd, replyFile),
    mockLlmOutput: text("MOCK_LLM_OUTPUT"),
    mockUsage: readUsage("MOCK_CODEX_USAGE", text("MOCK_CODEX_USAGE")),
    path: text("PATH") ?? PATH_BY_DEFAULT,
    userHome,
    lang: text("LANG"),
    user: text("USER"),
    noColor: text("NO_COLOR") !== null,
    crashAt: text("MYCELIUM_CRASH_AT"),
    lookup,
  };
}

const MERGE_MB = 128;
/** All of it is in memory when it is looked through. */
const MERGE_MB_MAX = 1024;

function readMegabytes(name: string, value: string | null): number {
  if (value === null) return MERGE_MB;
  const megabytes = /^[1-9]\d{0,9}$/.test(value) ? Number(value) : 0;
  if (megabytes >= 1 && megabytes <= MERGE_MB_MAX) return megabytes;
  const problem = `is no whole number from 1 to ${MERGE_MB_MAX}`;
  throw invalid([{ path: name, problem, hint: `set ${name}=${MERGE_MB} or unset it` }]);
}

function readSwitch(name: string, value: string | null): boolean {
  if (value === null || value === "0" || value === "false") return false;
  if (value === "1" || value === "true") return true;
  throw invalid([{ path: name, problem: "is neither 1 nor 0", hint: `set ${name}=1 or unset it` }]);
}

function readUsage(name: string, value: string | null): Usage | null {
  if (value === null) return null;
  const hint = `for example ${name}='{"input_tokens": 100, "output_tokens": 20}'`;
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    throw invalid([{ path: name, problem: "is not JSON", hint }]);
  }
  const usage = checkShape(usageSchema, parsed);
  if (!usage.ok) {
    throw invalid(
      usage.problems.map(({ path, ...rest }) => ({ ...rest, path: `${name}.${path}` })),
    );
  }
  // Vendors report more fields than these, but one that has none of these is a misspelling.
  const known = Object.keys(usageSchema.shape);
  if (!Object.keys(parsed as object).some((key) => known.includes(key))) {
    throw invalid([{ path: name, problem: `has none of ${known.join(", ")}`, hint }]);
  }
  return usage.value;
}

function invalid(problems: readonly Problem[]): Refusal {
  return new Refusal("config-invalid", `the environment is not valid: ${listProblems(problems)}`, {
    hint: problems[0]?.hint ?? "correct the variable or unset it",
    details: { problems },
  });
}
