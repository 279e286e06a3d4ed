import type { WorkspaceKind } from "../src/workspaces/workspace.ts";
import { judge, median, type Target } from "./figures.ts";
import type { Table } from "./tables.ts";

/** Milliseconds, or what the name says, of each time that something was measured. */
type Samples = Readonly<Record<string, readonly number[]>>;
type ByKind<T> = Readonly<Partial<Record<WorkspaceKind, T>>>;

/** All that one run of the ladder measured. What is missing was left out, or asked not to be. */
export interface LadderFigures {
  /** The day. */
  readonly at: string;
  readonly machine: Readonly<Record<string, string>>;
  readonly rounds: number;
  /** Kinds that this machine does not have, and what failed while it was measured; and why. */
  readonly missing: Readonly<Record<string, string>>;
  /** A workspace's life, beside the bare tool. */
  readonly kinds: ByKind<Samples>;
  /** The main job's ten tasks, by kind. */
  readonly mainJob: Samples;
  /** Calls through the MCP server. */
  readonly calls: ByKind<Samples>;
  /** Swarms of ten, beside separate calls. */
  readonly swarms: ByKind<Samples>;
}

const BARE_TOOLS: ByKind<string> = {
  sandbox: "bare `bwrap`",
  docker: "bare `docker`",
  vm: "cold boot",
};

/** What is measured of each kind, and of its bare tool where that can do the like. */
const LIFE = [
  ["create", "create", "bare start"],
  ["exec of `true`", "exec", "bare exec"],
  ["fork of one", "fork", "bare start"],
  ["fork of one, to its first answer", "fork, first answers", "bare start, first answer"],
  ["fork of sixteen", "fork of 16", "bare start of 16"],
  ["fork of sixteen, to their first answers", "fork of 16, first answers", ""],
  ["destroy", "destroy", "bare destroy"],
] as const;

const MEMORY = [
  ["a fork's own share of memory (PSS), MB", "memory of a fork, MB"],
  ["a fork's resident memory, MB", "resident of a fork, MB"],
] as const;

/** A row for each thing, two columns for each kind: the kind and its bare tool. */
export function lifeTable({ kinds }: LadderFigures): Table {
  const all = Object.entries(kinds) as (readonly [WorkspaceKind, Samples])[];
  const found = all.filter(([, samples]) => Object.keys(samples).length > 0);
  if (found.length === 0) return [];
  const head = found.flatMap(([kind]) => [kind, BARE_TOOLS[kind] ?? "bare"]);
  const life = LIFE.map(([what, ours, bare]) => [
    what,
    ...found.flatMap(([, samples]) => [show(samples[ours]), show(samples[bare])]),
  ]);
  const memory = MEMORY.map(([what, ours]) => [
    what,
    ...found.flatMap(([, samples]) => [show(samples[ours]), NOTHING]),
  ]);
  return [["ms", ...head], ...life, ...memory];
}

/** The main job beside `local`, then what agents ask for. */
export function workTable({ mainJob, calls, swarms }: LadderFigures): Table {
  const local = middle(mainJob["local"]);
  const jobs = Object.entries(mainJob).map(([kind, times]) => {
    const beside = kind === "local" ? NOTHING : timesOver(middle(times), local);
    return [`main job of ten tasks, ${kind}`, show(times), show(mainJob["local"]), beside];
  });
  const called = Object.entries(calls).flatMap(([kind, samples]) =>
    CALLS.map(([what, ours, beside]) => [
      `${what}, ${kind}`,
      show(samples[ours]),
      show(samples[beside]),
      timesOver(middle(samples[ours]), middle(samples[beside])),
    ]),
  );
  const swarmed = Object.entries(swarms).map(([kind, samples]) => [
    `swarm of ten, merged, ${kind}`,
    show(samples["swarm"]),
    show(samples["separate calls"]),
    timesOver(middle(samples["swarm"]), middle(samples["separate calls"])),
  ]);
  const rows = [...jobs, ...called, ...swarmed];
  return rows.length === 0 ? [] : [["ms", "found", "beside", "ratio"], ...rows];
}

/** Beside it: the same without the server, or in one workspace alone. */
const CALLS = [
  ["exec through MCP", "exec, through the server", "exec, the workspace's own"],
  ["twenty jobs that wait", "many that waits", "one that waits"],
  ["twenty jobs that compute", "many that computes", "one that computes"],
] as const;

export function judgeLadder({ kinds, calls, swarms }: LadderFigures): readonly Target[] {
  const { sandbox = {}, docker = {}, vm = {} } = kinds;
  const called = calls.sandbox ?? {};
  const bwrap = middle(sandbox["bare start"]);
  const fork = middle(sandbox["fork"]);
  return [
    judge("fork of a sandbox", { limit: 3, unit: " × a bare `bwrap`", found: ratio(fork, bwrap) }),
    judge("sixteen forks of a sandbox", {
      limit: 3,
      unit: " × sixteen `bwrap`",
      found: ratio(middle(sandbox["fork of 16"]), middle(sandbox["bare start of 16"])),
    }),
    judge("fork of a checkout of 10,000 files", {
      limit: 1.5,
      unit: " × one of 10",
      found: ratio(fork, middle(sandbox["fork of few files"])),
    }),
    judge("exec in a container", {
      limit: 1,
      unit: " × `docker exec`",
      found: ratio(middle(docker["exec"]), middle(docker["bare exec"])),
    }),
    judge("fork of a machine, to its first answer", {
      limit: 0.1,
      unit: " × its boot",
      found: ratio(middle(vm["fork, first answers"]), middle(vm["bare start, first answer"])),
    }),
    judge("exec in a machine, above the command", {
      limit: 15,
      unit: " ms",
      found: above(middle(vm["exec"]), middle(vm["the command itself"])),
    }),
    judge("a call through MCP, above the workspace's exec", {
      limit: 5,
      unit: " ms",
      found: above(
        middle(called["exec, through the server"]),
        middle(called["exec, the workspace's own"]),
      ),
    }),
    ...(["waits", "computes"] as const).map((job) =>
      judge(`\`exec_parallel\` over twenty sandboxes, a job that ${job}`, {
        limit: 3,
        unit: " × one",
        found: ratio(middle(called[`many that ${job}`]), middle(called[`one that ${job}`])),
      }),
    ),
    judge("a swarm of ten on sandboxes, merged", {
      limit: 3000,
      unit: " ms",
      found: middle(swarms.sandbox?.["swarm"]),
    }),
  ];
}

const NOTHING = "–";

function middle(times: readonly number[] | undefined): number | null {
  return times === undefined || times.length === 0 ? null : median(times);
}

function ratio(found: number | null, beside: number | null): number | null {
  return found === null || beside === null ? null : found / beside;
}

function above(found: number | null, beside: number | null): number | null {
  return found === null || beside === null ? null : Math.max(0, found - beside);
}

function timesOver(found: number | null, beside: number | null): string {
  const times = ratio(found, beside);
  return times === null ? NOTHING : `${times.toFixed(2)} ×`;
}

function show(times: readonly number[] | undefined): string {
  const found = middle(times);
  if (found === null) return NOTHING;
  return found < 100 ? found.toFixed(1) : Math.round(found).toLocaleString("en");
}
