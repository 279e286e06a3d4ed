import { readFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LastingProvider, LastingWorkspace } from "../../src/workspaces/lasting-workspace.ts";
import { createVmProvider } from "../../src/workspaces/vm.ts";
import { seedRepository } from "../../test/support/seed-repository.ts";

/**
 * Machines, medians of `ROUNDS`, one after the other in the same run: `node bench/workspaces/vm.ts`.
 * Prints one JSON object. The image is built where the cache has none, and not measured.
 */
const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const FORKS = 16;
const EXECS = 20;
const TIMEOUT_MS = 120_000;
const MEMORY_MB = 256;

const folder = await mkdtemp(join(tmpdir(), "mycelium-bench-vm-"));
const cacheDir =
  process.env["MYCELIUM_BENCH_CACHE"] ?? join(tmpdir(), "mycelium-bench-cache", "vm");
const root = join(folder, "vms");
const provider = createVmProvider({ root, cacheDir, defaults: { memoryMb: MEMORY_MB } });
await using seed = await seedRepository();
const figures: Record<string, number[]> = {};
const memory: Record<string, number[]> = {};

try {
  await warm(provider);
  for (let round = 0; round < ROUNDS; round += 1) await measure(provider, round);
  console.log(
    JSON.stringify(
      {
        rounds: ROUNDS,
        memory_mb: MEMORY_MB,
        medians_ms: mediansOf(figures),
        medians_mb: mediansOf(memory),
      },
      null,
      2,
    ),
  );
} finally {
  for (const id of await provider.list()) await provider.remove(id);
  for (const { id } of await provider.listSnapshots()) await provider.deleteSnapshot(id);
  await rm(folder, { recursive: true, force: true });
}

/** What is made once for all machines of a shape. */
async function warm(from: LastingProvider): Promise<void> {
  valueOf(await from.create({ id: "warm", seed: null, env: {}, network: "none" }));
  await from.remove("warm");
}

async function measure(from: LastingProvider, round: number): Promise<void> {
  const { gitDir, objectFormat, head: commit } = seed;
  const made = await timed("create, seeded", () =>
    from.create({
      id: `w${round}`,
      seed: { gitDir, objectFormat, commit, branch: "task" },
      env: {},
      network: "none",
    }),
  );
  const workspace = valueOf(made);
  await measureExec(workspace);
  const { id } = valueOf(await timed("snapshot, live", () => workspace.snapshot("base")));
  const forks = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ id: `f${count}-${round}-${at}`, env: {} }));
  await timed("fork of 1, to its first answer", () => forkAll(from, id, forks(1)));
  await timed("fork of 16, to their first answers", () => forkAll(from, id, forks(FORKS)));
  await noteMemory(forks(FORKS).map((fork) => fork.id));
  for (const fork of [...forks(1), ...forks(FORKS).slice(1)]) await from.remove(fork.id);
  await timed("destroy of a fork", () => from.remove(`f${FORKS}-${round}-0`));
  await timed("stop", () => workspace.stop());
  await timed("cold boot, to its first answer", async () => {
    valueOf(await workspace.start());
    await succeed(workspace);
  });
  await timed("destroy", () => workspace.destroy());
  await from.deleteSnapshot(id);
}

/** What a command costs beyond itself: beside it, so many of them in the guest, in one. */
async function measureExec(workspace: LastingWorkspace): Promise<void> {
  await succeed(workspace);
  for (let count = 0; count < EXECS; count += 1) {
    await timed("exec of true", () => succeed(workspace));
    await timed("a request and its answer", () => workspace.readFile(".none", { bytesMax: 1 }));
  }
  const many = `i=0; while [ $i -lt ${EXECS} ]; do /bin/true; i=$((i + 1)); done`;
  const begun = performance.now();
  await workspace.exec({ command: many, timeoutMs: TIMEOUT_MS });
  (figures["true itself, in the guest"] ??= []).push((performance.now() - begun) / EXECS);
}

async function noteMemory(ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const { pid } = JSON.parse(await readFile(join(root, id, "machine.json"), "utf8")) as {
      pid: number;
    };
    const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
    for (const name of ["Rss", "Pss", "Private_Dirty"]) {
      const kilobytes = Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
      (memory[`${name} of a fork of 16`] ??= []).push(kilobytes / 1024);
    }
  }
}

async function forkAll(
  from: LastingProvider,
  snapshot: string,
  requests: Parameters<LastingProvider["fork"]>[1],
): Promise<void> {
  const forked = await from.fork(snapshot, requests);
  await Promise.all(forked.map((fork) => succeed(valueOf(fork))));
}

async function succeed(workspace: LastingWorkspace): Promise<void> {
  const { ending } = await workspace.exec({ command: ["true"], timeoutMs: TIMEOUT_MS });
  if (ending.kind !== "exited" || ending.code !== 0) throw new Error(JSON.stringify(ending));
}

async function timed<T>(name: string, act: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  const answer = await act();
  (figures[name] ??= []).push(performance.now() - begun);
  return answer;
}

function mediansOf(all: Readonly<Record<string, readonly number[]>>): Record<string, number> {
  return Object.fromEntries(Object.entries(all).map(([name, values]) => [name, median(values)]));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return Math.round((sorted[Math.floor(sorted.length / 2)] ?? 0) * 10) / 10;
}

function valueOf<T>(
  result: { ok: true; value: T } | { ok: false; failure: unknown } | undefined,
): T {
  if (result?.ok === true) return result.value;
  throw new Error(JSON.stringify(result?.failure));
}
