import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { runProcess, type ProcessResult } from "../src/lib/process.ts";
import { BATCH, copyFixture, DOCTOR, type Fixture } from "./fixture.ts";

export interface Trial {
  readonly durationMs: number;
  /** Of Mycelium's own process; `null` for the script, which is many. */
  readonly peakMemoryBytes: number | null;
}

export interface TrialRequest {
  readonly fixture: Fixture;
  /** A folder for this trial alone; it is emptied first. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** What Mycelium is given after `run`. */
  readonly options?: readonly string[];
  /** Where the fixture's own is too short. */
  readonly timeoutMs?: number;
}

const TOP = join(import.meta.dirname, "..");
const PROGRAM = join(TOP, "bin", "mycelium.js");
const SCRIPT = join(TOP, "bench", "plain.sh");
const MEMORY_HOOK = join(TOP, "bench", "peak-memory.mjs");

const START_TIMEOUT_MS = 60_000;
const TASK_TIMEOUT_MS = 2_000;
const OUTPUT_BYTES_MAX = 65_536;

/** `mycelium run` of the fixture's tasks, from the start of its process to the end. */
export async function runMycelium(request: TrialRequest): Promise<Trial> {
  const { fixture, folder } = request;
  const repository = await prepare(request);
  const memory = join(folder, "peak-memory");
  const result = await runProcess({
    command: [
      process.execPath,
      "--import",
      MEMORY_HOOK,
      PROGRAM,
      "run",
      ...(request.options ?? []),
    ],
    cwd: repository,
    env: {
      ...request.env,
      MOCK_LLM: "1",
      MYCELIUM_HOME: join(folder, "home"),
      MYCELIUM_BENCH_PEAK_MEMORY: memory,
    },
    timeoutMs: request.timeoutMs ?? timeoutMs(fixture),
    outputBytesMax: OUTPUT_BYTES_MAX,
    signal: request.signal,
  });
  requireSuccess("mycelium run", result);
  await requireCommits(repository, request);
  return { durationMs: result.durationMs, peakMemoryBytes: Number(await readFile(memory, "utf8")) };
}

/** The same tasks by `plain.sh`. */
export async function runScript(request: TrialRequest): Promise<Trial> {
  const { fixture, folder } = request;
  const repository = await prepare(request);
  const work = join(folder, "work");
  await mkdir(work);
  const result = await runProcess({
    command: [SCRIPT, repository, work, String(fixture.tasks), String(BATCH), DOCTOR],
    cwd: folder,
    env: request.env,
    timeoutMs: timeoutMs(fixture),
    outputBytesMax: OUTPUT_BYTES_MAX,
    signal: request.signal,
  });
  requireSuccess("plain.sh", result);
  await requireCommits(repository, request);
  return { durationMs: result.durationMs, peakMemoryBytes: null };
}

/** How long a program takes that does nothing much. */
export async function runNode(
  args: readonly string[],
  request: Pick<TrialRequest, "env" | "signal">,
): Promise<number> {
  const result = await runProcess({
    command: [process.execPath, ...args],
    cwd: TOP,
    env: request.env,
    timeoutMs: START_TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
    signal: request.signal,
  });
  requireSuccess(`node ${args.join(" ")}`, result);
  return result.durationMs;
}

export const HELP_ARGUMENTS = [PROGRAM, "--help"] as const;
export const EMPTY_ARGUMENTS = ["-e", "0"] as const;

async function prepare({ fixture, folder }: TrialRequest): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const repository = join(folder, "repository");
  await copyFixture(fixture, repository);
  return repository;
}

function timeoutMs({ tasks }: Fixture): number {
  return START_TIMEOUT_MS + tasks * TASK_TIMEOUT_MS;
}

function requireSuccess(what: string, { ending, stdout, stderr }: ProcessResult): void {
  if (ending.kind === "exited" && ending.code === 0) return;
  const said = Buffer.concat([stdout.bytes, stderr.bytes]).toString();
  throw new Error(`${what}: ${JSON.stringify(ending)}\n${said}`);
}

/** Speed at doing something else is no speed: each task must have its commit on the branch. */
async function requireCommits(repository: string, request: TrialRequest): Promise<void> {
  const { stdout } = await runProcess({
    command: ["git", "rev-list", "--count", "--no-merges", "start..main"],
    cwd: repository,
    env: request.env,
    timeoutMs: START_TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  const landed = Number(stdout.bytes.toString());
  if (landed === request.fixture.tasks) return;
  throw new Error(`main has commits of ${landed} of ${request.fixture.tasks} tasks`);
}
