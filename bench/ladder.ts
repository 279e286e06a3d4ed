import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readEnvironment } from "../src/config/environment.ts";
import { composeProviders } from "../src/compose.ts";
import { WORKSPACE_KINDS, type WorkspaceKind } from "../src/workspaces/workspace.ts";
import { judgeLadder, lifeTable, workTable, type LadderFigures } from "./ladder-figures.ts";
import { describeMachine } from "./machine.ts";
import { measureCalls } from "./mcp.ts";
import { targetTable } from "./report.ts";
import { measureSwarms } from "./swarm.ts";
import { alignColumns, markdownTable, writeBetween } from "./tables.ts";
import { dockerBench, ensureImage } from "./workspaces/docker.ts";
import { measureKind, type KindBench } from "./workspaces/kind.ts";
import { measureMainJob } from "./workspaces/main-job.ts";
import { sandboxBench } from "./workspaces/sandbox.ts";
import type { Samples } from "./workspaces/stopwatch.ts";
import { vmBench } from "./workspaces/vm.ts";

const USAGE = `usage: npm run bench:ladder -- [--kinds sandbox,docker,vm] [--parts life,job,calls,swarms]
                                [--repeat 5] [--json FILE] [--write]

Measures workspaces of each kind beside their bare tool, in turn, and what is done with them. A kind
that this machine does not have is left out by name; what fails is told, and the rest goes on. Images are kept in MYCELIUM_BENCH_CACHE.
  --kinds    which kinds, beside local
  --parts    life: create, exec, fork, destroy; job: the main job; calls: through MCP; swarms
  --repeat   rounds of each; the median counts
  --json     writes all that was measured into a file
  --write    puts the figures into docs/performance.md
`;

const PAGE = join(import.meta.dirname, "..", "docs", "performance.md");
const MARKS = {
  begin: "<!-- ladder: written by npm run bench:ladder -- --write -->",
  end: "<!-- ladder: end -->",
};
const PARTS = ["life", "job", "calls", "swarms"] as const;
/** Of which calls and swarms are measured. */
const CALLED: readonly WorkspaceKind[] = ["sandbox"];
const SWARMED: readonly WorkspaceKind[] = ["sandbox", "vm"];
const REPEAT_MAX = 100;

interface Ladder {
  readonly kinds: readonly WorkspaceKind[];
  readonly missing: Readonly<Record<string, string>>;
  readonly parts: readonly (typeof PARTS)[number][];
  readonly rounds: number;
  readonly path: string;
  readonly cache: string;
  readonly signal: AbortSignal;
  readonly progress: (what: string) => void;
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
      kinds: { type: "string", default: "sandbox,docker,vm" },
      parts: { type: "string", default: PARTS.join(",") },
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
  const rounds = Number(values.repeat);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > REPEAT_MAX) {
    throw new Error(`--repeat takes whole numbers from 1 to ${REPEAT_MAX}`);
  }
  const wanted = chosen("--kinds", values.kinds, WORKSPACE_KINDS);
  const parts = chosen("--parts", values.parts, PARTS);
  const figures = await measure(await prepare({ wanted, parts, rounds }));
  process.stdout.write(renderLadder(figures));
  if (values.json !== undefined) {
    await writeFile(resolve(values.json), `${JSON.stringify(figures, null, 2)}\n`);
  }
  if (values.write) await writeLadder(figures);
}

function chosen<T extends string>(option: string, text: string, all: readonly T[]): readonly T[] {
  const names = text.split(",");
  const unknown = names.find((name) => !all.some((one) => one === name));
  if (unknown === undefined) return all.filter((one) => names.includes(one));
  throw new Error(`${option} takes some of ${all.join(", ")}, not ${JSON.stringify(unknown)}`);
}

/** Asks each kind whether this machine has it. */
async function prepare({
  wanted,
  parts,
  rounds,
}: {
  readonly wanted: readonly WorkspaceKind[];
  readonly parts: Ladder["parts"];
  readonly rounds: number;
}): Promise<Ladder> {
  const path = process.env["PATH"] ?? "/usr/bin:/bin";
  const cache = process.env["MYCELIUM_BENCH_CACHE"] ?? join(tmpdir(), "mycelium-bench-cache");
  await mkdir(cache, { recursive: true });
  const variables = { PATH: path, HOME: cache, MYCELIUM_CACHE: cache };
  const providers = composeProviders(readEnvironment({ variables, cwd: cache }));
  const missing: Record<string, string> = {};
  if (wanted.includes("docker")) await ensureImage(path);
  for (const kind of wanted) {
    const probe = await providers.get(kind)?.probe();
    if (probe?.kind === "missing") missing[kind] = `${probe.what}; ${probe.hint}`;
  }
  const kinds = wanted.filter((kind) => missing[kind] === undefined);
  const { signal } = new AbortController();
  const progress = (what: string): void => void process.stderr.write(`bench: ${what}\n`);
  for (const [kind, why] of Object.entries(missing)) progress(`without ${kind}: ${why}`);
  return { kinds, missing, parts, rounds, path, cache, signal, progress };
}

async function measure(ladder: Ladder): Promise<LadderFigures> {
  const { kinds, missing, parts, rounds, path, cache } = ladder;
  const machine = await describeMachine({ folder: tmpdir(), env: { PATH: path } });
  const failed: Record<string, string> = {};
  /** One part that fails does not take the others along. */
  const measured = async (what: string, act: () => Promise<Samples>): Promise<Samples> => {
    try {
      return await act();
    } catch (error) {
      failed[what] = error instanceof Error ? error.message : String(error);
      ladder.progress(`${what} failed: ${failed[what]}`);
      return {};
    }
  };
  const eachOf = async (
    part: (typeof PARTS)[number],
    some: readonly WorkspaceKind[],
    act: (kind: WorkspaceKind) => Promise<Samples>,
  ): Promise<Partial<Record<WorkspaceKind, Samples>>> => {
    const found: Partial<Record<WorkspaceKind, Samples>> = {};
    if (!parts.includes(part)) return found;
    for (const kind of kinds.filter((one) => some.includes(one))) {
      found[kind] = await measured(`${part} of ${kind}`, () => act(kind));
    }
    return found;
  };
  const lives = await eachOf("life", WORKSPACE_KINDS, async (kind) => {
    await using bench = await openBench(kind, { path, cache });
    return bench === null ? {} : await measureKind(bench, ladder);
  });
  const jobKinds = [...new Set<WorkspaceKind>(["local", ...kinds])];
  const mainJob = parts.includes("job")
    ? await measured("job", () => measureMainJob({ ...ladder, kinds: jobKinds }))
    : {};
  const calls = await eachOf("calls", CALLED, (kind) => measureCalls({ ...ladder, kind }));
  const swarms = await eachOf("swarms", SWARMED, (kind) => measureSwarms({ ...ladder, kind }));
  if (Object.keys(failed).length > 0) process.exitCode = 1;
  const at = new Date().toISOString().slice(0, 10);
  const left = { ...missing, ...failed };
  return { at, machine, rounds, missing: left, kinds: lives, mainJob, calls, swarms };
}

/** `null` for what has no bare tool to stand beside. */
function openBench(
  kind: WorkspaceKind,
  { path, cache }: Pick<Ladder, "path" | "cache">,
): Promise<KindBench | null> {
  if (kind === "sandbox") return sandboxBench(path);
  if (kind === "docker") return dockerBench(path);
  return kind === "vm" ? vmBench(cache) : Promise.resolve(null);
}

function renderLadder(figures: LadderFigures): string {
  const tables = [lifeTable(figures), workTable(figures), targetTable(judgeLadder(figures))];
  const told = tables.filter((table) => table.length > 0).map(alignColumns);
  return `${[...told, notes(figures).join("\n")].join("\n\n")}\n`;
}

async function writeLadder(figures: LadderFigures): Promise<void> {
  const tables = [lifeTable(figures), workTable(figures), targetTable(judgeLadder(figures))];
  const told = tables.filter((table) => table.length > 0).map(markdownTable);
  const lines = notes(figures).map((line) => `- ${line}`);
  await writeBetween(PAGE, MARKS, [...told, lines.join("\n")]);
}

function notes({ at, rounds, machine, missing }: LadderFigures): readonly string[] {
  return [
    `measured: ${at}, medians of ${rounds} rounds, each kind in turn with its bare tool`,
    ...Object.entries(machine).map(([name, value]) => `${name}: ${value}`),
    ...Object.entries(missing).map(([kind, why]) => `left out: ${kind} (${why})`),
  ];
}
