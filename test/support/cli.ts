import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inject } from "vitest";
import { parse } from "yaml";
import { parseEvent, type EventType, type RecordedEvent } from "../../src/domain/event.ts";
import { runProcess } from "../../src/lib/process.ts";
import { makeGitRepository, type TestRepository } from "./git-repository.ts";

export interface CliResult {
  /** `null` where a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string;
  /** Aborting kills the whole tree. */
  readonly signal?: AbortSignal;
  readonly onOutput?: (stream: "stdout" | "stderr", chunk: Buffer) => void;
}

/** The packed program on a real repository with a home of its own: gone with `await using`. */
export interface Sandbox extends AsyncDisposable {
  readonly repository: TestRepository;
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
  readonly program: string;
  mycelium(args: readonly string[], options?: CliOptions): Promise<CliResult>;
  /** Runs with `--json`, requires an object on stdout, and answers it. */
  json(args: readonly string[], options?: CliOptions): Promise<Record<string, unknown>>;
  configure(settings: Readonly<Record<string, unknown>>): Promise<void>;
  /** Task folders as a person would write them. */
  tasks(tasks: readonly TaskDraft[]): Promise<void>;
  /** `state.json` of a run. */
  state(runId: string): RunState;
  /** `orchestrator.jsonl` of a run, every line parsed by its schema. */
  events(runId: string): readonly RecordedEvent[];
  /** What `git rev-parse` says of a branch. */
  tip(branch?: string): Promise<string>;
}

export interface TaskDraft {
  readonly id: string;
  readonly name?: string;
  readonly spec?: string;
  readonly [field: string]: unknown;
}

export interface RunState {
  readonly status: string;
  readonly stop_reason: string | null;
  readonly tasks: readonly {
    readonly id: string;
    readonly state: string;
    readonly attempts: number;
    readonly landed_commit: string | null;
    readonly reason: string | null;
  }[];
}

const TIMEOUT_MS = 120_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** What every configuration of these tests begins with: a doctor that looks at the tree. */
export const SETTINGS = { main_branch: "main", doctor: "test -f README.md" } as const;

export async function makeSandbox(): Promise<Sandbox> {
  const repository = await makeGitRepository();
  const home = join(repository.folder, "mycelium-home");
  const program = inject("program");
  const env = {
    PATH: repository.env["PATH"] ?? "",
    HOME: join(repository.folder, "home"),
    MYCELIUM_HOME: home,
    MOCK_LLM: "1",
  };
  const mycelium: Sandbox["mycelium"] = async (args, options = {}) => {
    const result = await runProcess({
      command: [process.execPath, program, ...args],
      cwd: options.cwd ?? repository.path,
      env: { ...env, ...options.env },
      stdin: options.stdin ?? "",
      timeoutMs: TIMEOUT_MS,
      outputBytesMax: OUTPUT_BYTES_MAX,
      ...(options.signal !== undefined && { signal: options.signal }),
      ...(options.onOutput !== undefined && { onOutput: options.onOutput }),
    });
    return {
      code: result.ending.kind === "exited" ? result.ending.code : null,
      signal: result.ending.kind === "signalled" ? result.ending.signal : null,
      stdout: result.stdout.bytes.toString("utf8"),
      stderr: result.stderr.bytes.toString("utf8"),
    };
  };
  const configFile = join(repository.path, ".mycelium", "config.yaml");
  return {
    repository,
    home,
    env,
    program,
    mycelium,
    json: async (args, options) => {
      const { stdout, stderr } = await mycelium([...args, "--json"], options);
      const value: unknown = parseJson(stdout, stderr);
      if (typeof value !== "object" || value === null) throw new Error(`no object: ${stdout}`);
      return value as Record<string, unknown>;
    },
    configure: async (settings) => {
      await mkdir(dirname(configFile), { recursive: true });
      await writeFile(join(repository.path, ".mycelium", ".gitignore"), "*\n");
      await writeFile(configFile, `${JSON.stringify({ ...SETTINGS, ...settings }, null, 2)}\n`);
    },
    tasks: async (drafts) => {
      for (const { spec = "Do it.\n", ...manifest } of drafts) {
        const folder = join(repository.path, ".mycelium", "tasks", `${manifest.id}-task`);
        await mkdir(folder, { recursive: true });
        const whole = { name: `Task ${manifest.id}`, ...manifest };
        await writeFile(join(folder, "manifest.json"), JSON.stringify(whole, null, 2));
        await writeFile(join(folder, "spec.md"), spec);
      }
    },
    state: (runId) => readJson(join(home, "runs", runId, "state.json")) as RunState,
    events: (runId) => readEvents(join(home, "runs", runId, "orchestrator.jsonl")),
    tip: (branch = "main") => repository.git("rev-parse", branch),
    [Symbol.asyncDispose]: () => repository[Symbol.asyncDispose](),
  };
}

function parseJson(text: string, context: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`no JSON on stdout: ${JSON.stringify(text)}; stderr: ${context}`);
  }
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}

function readEvents(path: string): readonly RecordedEvent[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, "utf8");
  if (!text.endsWith("\n")) throw new Error(`${path} ends in the middle of a line`);
  return text
    .slice(0, -1)
    .split("\n")
    .map((line) => parseEvent(JSON.parse(line)));
}

export function ofType(
  events: readonly RecordedEvent[],
  type: EventType,
): readonly RecordedEvent[] {
  return events.filter((event) => event.type === type);
}

export function readYaml(path: string): unknown {
  return parse(readFileSync(path, "utf8"));
}
