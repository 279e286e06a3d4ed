import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  EMPTY_ARGUMENTS,
  HELP_ARGUMENTS,
  runMycelium,
  runNode,
  runScript,
  type Trial,
  type TrialRequest,
} from "./contenders.ts";
import type { Figures, SizeFigures } from "./figures.ts";
import { makeFixture, type Fixture } from "./fixture.ts";
import { makeGitCounter } from "./git-counter.ts";
import { describeMachine } from "./machine.ts";
import { renderFigures, writeFigures } from "./report.ts";

const USAGE = `usage: npm run bench -- [--sizes 1,10,100,1000] [--repeat 5] [--json FILE] [--write]

Measures mycelium and a plain shell script that does the same git work, in turn.
  --sizes    how many independent tasks; several, with commas
  --repeat   trials of each; the median counts
  --json     writes all that was measured into a file
  --write    puts the figures into docs/performance.md
`;

const PAGE = join(import.meta.dirname, "..", "docs", "performance.md");
const SIZE_MAX = 10_000;
const REPEAT_MAX = 100;

interface Bench {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly sizes: readonly number[];
  readonly repeat: number;
  readonly signal: AbortSignal;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sizes: { type: "string", default: "1,10,100,1000" },
      repeat: { type: "string", default: "5" },
      json: { type: "string" },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const figures = await bench({
    sizes: values.sizes.split(",").map((size) => count("--sizes", size, SIZE_MAX)),
    repeat: count("--repeat", values.repeat, REPEAT_MAX),
  });
  process.stdout.write(renderFigures(figures));
  if (values.json !== undefined) {
    await writeFile(resolve(values.json), `${JSON.stringify(figures, null, 2)}\n`);
  }
  if (values.write) await writeFigures(PAGE, figures);
}

function count(option: string, text: string, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new Error(`${option} takes whole numbers from 1 to ${max}, not ${JSON.stringify(text)}`);
}

/** Whatever happens, nothing is left behind. */
async function bench(options: Pick<Bench, "sizes" | "repeat">): Promise<Figures> {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop.abort());
  const folder = await mkdtemp(join(await realpath(tmpdir()), "mycelium-bench-"));
  try {
    const env = await makeEnvironment(folder);
    return await measure({ ...options, folder, env, signal: stop.signal });
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Neither contender sees the settings of whoever measures, nor tidies up in the background. */
async function makeEnvironment(folder: string): Promise<Record<string, string>> {
  const identity = "[user]\n\tname = Bench\n\temail = bench@localhost\n";
  const noTidying = "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n";
  await writeFile(join(folder, ".gitconfig"), identity + noTidying);
  return { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: folder, LC_ALL: "C.UTF-8" };
}

async function measure(bench: Bench): Promise<Figures> {
  const machine = await describeMachine(bench);
  const sizes: SizeFigures[] = [];
  for (const tasks of bench.sizes) sizes.push(await measureSize(bench, tasks));
  progress("start of the command line");
  const helpMs: number[] = [];
  const emptyNodeMs: number[] = [];
  for (let trial = 0; trial < bench.repeat * 2; trial += 1) {
    helpMs.push(await runNode(HELP_ARGUMENTS, bench));
    emptyNodeMs.push(await runNode(EMPTY_ARGUMENTS, bench));
  }
  const at = new Date().toISOString().slice(0, 10);
  return { at, machine, sizes, helpMs, emptyNodeMs };
}

async function measureSize(bench: Bench, tasks: number): Promise<SizeFigures> {
  const fixture = await makeFixture(bench.folder, tasks, bench.env);
  const request: TrialRequest = {
    fixture,
    folder: join(bench.folder, "trial"),
    env: bench.env,
    signal: bench.signal,
  };
  const mycelium: Trial[] = [];
  const script: Trial[] = [];
  for (let trial = 1; trial <= bench.repeat; trial += 1) {
    progress(`${sizeText(tasks)}, trial ${trial} of ${bench.repeat}`);
    script.push(await runScript(request));
    mycelium.push(await runMycelium(request));
  }
  progress(`${sizeText(tasks)}, counting git processes`);
  return {
    tasks,
    myceliumMs: mycelium.map(({ durationMs }) => durationMs),
    scriptMs: script.map(({ durationMs }) => durationMs),
    peakMemoryBytes: Math.max(...mycelium.map(({ peakMemoryBytes }) => peakMemoryBytes ?? 0)),
    ...(await countGit(bench, fixture)),
  };
}

/** In runs of their own, so that the counting does not slow down what is timed. */
async function countGit(
  bench: Bench,
  fixture: Fixture,
): Promise<Pick<SizeFigures, "gitProcesses" | "scriptGitProcesses">> {
  const counter = await makeGitCounter(join(bench.folder, "counter"), bench.env["PATH"] ?? "");
  const request: TrialRequest = {
    fixture,
    folder: join(bench.folder, "trial"),
    env: { ...bench.env, PATH: counter.path },
    signal: bench.signal,
  };
  await counter.reset();
  await runMycelium(request);
  const gitProcesses = await counter.count();
  await counter.reset();
  await runScript(request);
  return { gitProcesses, scriptGitProcesses: await counter.count() };
}

function sizeText(tasks: number): string {
  return tasks === 1 ? "1 task" : `${tasks} tasks`;
}

function progress(what: string): void {
  process.stderr.write(`bench: ${what}\n`);
}
