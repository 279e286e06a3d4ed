import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../../src/lib/process.ts";
import { createDockerProvider } from "../../src/workspaces/docker/docker.ts";
import { openEngine } from "../../src/workspaces/docker/engine.ts";
import type { LastingProvider, LastingWorkspace } from "../../src/workspaces/lasting-workspace.ts";
import { buildImage } from "../../src/workspaces/images/build-image.ts";
import { seedRepository } from "../../test/support/seed-repository.ts";

/**
 * Docker workspaces beside the bare `docker` command, medians of `ROUNDS`, one after the other in the
 * same run: `node bench/workspaces/docker.ts`. Prints one JSON object.
 */
const ROUNDS = 9;
const FORKS = 16;
const TIMEOUT_MS = 120_000;
const ENV = { PATH: process.env["PATH"] ?? "/usr/bin:/bin" };
const ADDRESS = { socketPath: "/var/run/docker.sock" } as const;

const engine = openEngine(ADDRESS);
const folder = await mkdtemp(join(tmpdir(), "mycelium-bench-docker-"));
const tools = { path: ENV.PATH, timeoutMs: TIMEOUT_MS };
const { image } = await buildImage({ from: "host", include: [], engine, tools });
const root = join(folder, "docker");
const provider = createDockerProvider({ root, address: ADDRESS, image, gitEnvironment: ENV });
await using seed = await seedRepository();
const figures: Record<string, number[]> = {};

try {
  for (let round = 0; round < ROUNDS; round += 1) {
    await measureOurs(provider, round);
    await measureBare(round);
  }
  const medians = Object.entries(figures).map(([name, times]) => [name, median(times)]);
  console.log(JSON.stringify({ rounds: ROUNDS, medians_ms: Object.fromEntries(medians) }, null, 2));
} finally {
  for (const id of await provider.list()) await provider.remove(id);
  for (const { id } of await provider.listSnapshots()) await provider.deleteSnapshot(id);
  await rm(folder, { recursive: true, force: true });
}

async function measureOurs(from: LastingProvider, round: number): Promise<void> {
  const { gitDir, objectFormat, head: commit } = seed;
  const request = {
    seed: { gitDir, objectFormat, commit, branch: "task" },
    env: {},
    network: "none",
  } as const;
  const made = await timed("create, seeded", () => from.create({ id: `w${round}`, ...request }));
  const workspace = valueOf(made);
  await timed("exec", () => succeed(workspace));
  await timed("exec by another process, the first", async () => {
    const found = await from.find({ id: workspace.id, env: {} });
    if (found !== null) await succeed(found);
  });
  const { id } = valueOf(await timed("snapshot", () => workspace.snapshot("base")));
  const forks = (count: number) =>
    Array.from({ length: count }, (_, at) => ({
      id: `f${count}-${round}-${at}`,
      env: {},
      network: "none" as const,
    }));
  await timed("fork of 1, to its first answer", () => forkAll(from, id, forks(1)));
  await timed("fork of 16, to their first answers", () => forkAll(from, id, forks(FORKS)));
  for (const fork of [...forks(1), ...forks(FORKS).slice(1)]) await from.remove(fork.id);
  await timed("destroy of a fork", () => from.remove(`f${FORKS}-${round}-0`));
  await timed("destroy", () => workspace.destroy());
  await from.deleteSnapshot(id);
}

async function forkAll(
  from: LastingProvider,
  snapshot: string,
  requests: Parameters<LastingProvider["fork"]>[1],
): Promise<void> {
  const forked = await from.fork(snapshot, requests);
  await Promise.all(forked.map((fork) => succeed(valueOf(fork))));
}

async function measureBare(round: number): Promise<void> {
  const name = `mycelium-bench-${process.pid}-${round}`;
  await timed("docker run, detached", () =>
    docker("run", "-d", "--name", name, "--network", "none", image, "sleep", "1000"),
  );
  await timed("docker exec", () => docker("exec", name, "true"));
  await timed("docker commit", () => docker("commit", name, name));
  await timed("docker run of a command", () =>
    docker("run", "--rm", "--network", "none", image, "true"),
  );
  await timed("docker rm -f", () => docker("rm", "-f", name));
  await docker("rmi", name);
}

async function docker(...args: string[]): Promise<void> {
  const command = ["docker", ...args] as const;
  const means = {
    cwd: "/",
    env: { ...ENV, HOME: folder },
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: 4096,
  };
  const { ending, stderr } = await runProcess({ command: [command[0], ...args], ...means });
  if (ending.kind === "exited" && ending.code === 0) return;
  throw new Error(`docker ${args.join(" ")}: ${stderr.bytes.toString()}`);
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

function median(times: readonly number[]): number {
  const sorted = times.toSorted((one, other) => one - other);
  return Math.round((sorted[Math.floor(sorted.length / 2)] ?? 0) * 10) / 10;
}

function valueOf<T>(
  result: { ok: true; value: T } | { ok: false; failure: unknown } | undefined,
): T {
  if (result?.ok === true) return result.value;
  throw new Error(JSON.stringify(result?.failure));
}
