import { readFile } from "node:fs/promises";
import type {
  ForkRequest,
  LastingProvider,
  LastingWorkspace,
} from "../../src/workspaces/lasting-workspace.ts";
import type { WorkspaceKind, WorkspaceSeed } from "../../src/workspaces/workspace.ts";
import { startStopwatch, succeed, valueOf, type Samples, type Stopwatch } from "./stopwatch.ts";

/** What a kind of workspace brings to be measured beside its bare tool. */
export interface KindBench extends AsyncDisposable {
  readonly kind: WorkspaceKind;
  readonly provider: LastingProvider;
  readonly seed: Omit<WorkspaceSeed, "branch">;
  /**
   * Measures the bare tool, in turn with each round of ours. `workspace` is about to be destroyed,
   * and may be stopped and started.
   */
  measureBare(watch: Stopwatch, round: number, workspace: LastingWorkspace): Promise<void>;
  /** The processes whose memory is a workspace's; left out where nothing tells. */
  readonly pidsOf?: (id: string) => Promise<readonly number[]>;
}

export const FORKS = 16;
/** A median of few commands would be of their neighbours'. */
const EXECS = 20;
const MEGABYTE_KB = 1024;

/** So many rounds, after one that is not counted: what is made once for all is made there. */
export async function measureKind(
  bench: KindBench,
  { rounds, progress }: { readonly rounds: number; readonly progress: (what: string) => void },
): Promise<Samples> {
  await measureRound(bench, startStopwatch(), 0);
  const watch = startStopwatch();
  for (let round = 1; round <= rounds; round += 1) {
    progress(`${bench.kind}, round ${round} of ${rounds}`);
    await measureRound(bench, watch, round);
  }
  return watch.samples;
}

async function measureRound(bench: KindBench, watch: Stopwatch, round: number): Promise<void> {
  const { provider, seed } = bench;
  const made = await watch.timed("create", () =>
    provider.create({ id: `w${round}`, seed: { ...seed, branch: "task" }, env: ENV, ...OFFLINE }),
  );
  const workspace = valueOf(made);
  await measureExec(watch, workspace);
  const { id } = valueOf(await watch.timed("snapshot", () => workspace.snapshot("base")));
  const one = [{ id: `one-${round}`, env: ENV }];
  const many = Array.from({ length: FORKS }, (_, at) => ({ id: `f${round}-${at}`, env: ENV }));
  await measureFork(bench, watch, { snapshot: id, requests: one, name: "fork" });
  await measureFork(bench, watch, { snapshot: id, requests: many, name: `fork of ${FORKS}` });
  for (const fork of many) await noteMemory(bench, watch, fork.id);
  for (const fork of many) await provider.remove(fork.id);
  await watch.timed("destroy", () => provider.remove(`one-${round}`));
  await bench.measureBare(watch, round, workspace);
  await workspace.destroy();
  valueOf(await provider.deleteSnapshot(id));
}

const ENV = { PATH: "/usr/local/bin:/usr/bin:/bin" };
/** As the bare tools are asked: a network of their own costs each of them something. Forks follow. */
const OFFLINE = { network: "none" } as const;

/** Beside so many of the same command in one, for what the command itself takes. */
async function measureExec(watch: Stopwatch, workspace: LastingWorkspace): Promise<void> {
  await succeed(workspace);
  for (let count = 0; count < EXECS; count += 1) {
    await watch.timed("exec", () => succeed(workspace));
  }
  const many = `i=0; while [ $i -lt ${EXECS} ]; do /bin/true; i=$((i + 1)); done`;
  const begun = performance.now();
  await succeed(workspace, many);
  watch.note("the command itself", (performance.now() - begun) / EXECS);
}

/** Until they are there, and until each of them has answered. */
async function measureFork(
  { provider }: KindBench,
  watch: Stopwatch,
  {
    snapshot,
    requests,
    name,
  }: {
    readonly snapshot: string;
    readonly requests: readonly ForkRequest[];
    readonly name: string;
  },
): Promise<void> {
  await watch.timed(`${name}, first answers`, async () => {
    const forks = await watch.timed(name, () => provider.fork(snapshot, requests));
    await Promise.all(forks.map((fork) => succeed(valueOf(fork))));
  });
}

/** Its own share (PSS) of what its processes have in memory. */
async function noteMemory(bench: KindBench, watch: Stopwatch, id: string): Promise<void> {
  if (bench.pidsOf === undefined) return;
  for (const [name, field] of [
    ["memory of a fork, MB", "Pss"],
    ["resident of a fork, MB", "Rss"],
  ] as const) {
    let kilobytes = 0;
    for (const pid of await bench.pidsOf(id)) {
      const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
      kilobytes += Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(text)?.[1]);
    }
    watch.note(name, kilobytes / MEGABYTE_KB);
  }
}
