import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDockerProvider } from "../../src/workspaces/docker/docker.ts";
import { openEngine } from "../../src/workspaces/docker/engine.ts";
import { buildImage, DEFAULT_IMAGE } from "../../src/workspaces/images/build-image.ts";
import { createLocalProvider } from "../../src/workspaces/local.ts";
import { createSandboxProvider } from "../../src/workspaces/sandbox.ts";
import { createVmProvider } from "../../src/workspaces/vm.ts";
import type { WorkspaceKind, WorkspaceProbe } from "../../src/workspaces/workspace.ts";
import { runMycelium } from "../contenders.ts";
import { makeFixture, type Fixture } from "../fixture.ts";

/**
 * The main job's ten tasks of the mock agent in workspaces of each kind that this machine has, in turn
 * and beside `local`: `npm run build`, then `node bench/workspaces/main-job.ts [ROUNDS]`. The first run
 * of a kind is not counted: it finds no image and no booted machine. Prints one JSON object.
 */
const TASKS = 10;
const ROUNDS = Number(process.argv[2] ?? 5);
const ADDRESS = { socketPath: "/var/run/docker.sock" } as const;
const PATH = process.env["PATH"] ?? "/usr/bin:/bin";
const IMAGE_TIMEOUT_MS = 600_000;
/** The first run of machines builds their image, and boots one. */
const RUN_TIMEOUT_MS = 900_000;

interface Bench {
  readonly folder: string;
  readonly fixture: Fixture;
  readonly env: Readonly<Record<string, string>>;
}

const folder = await mkdtemp(join(await realpath(tmpdir()), "mycelium-bench-"));
try {
  const env = await makeEnvironment();
  const bench = { folder, env, fixture: await makeFixture(folder, TASKS, env) };
  console.log(JSON.stringify(await measure(bench), null, 2));
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

async function measure(bench: Bench): Promise<object> {
  const missing: Record<string, string> = {};
  const times: { readonly kind: WorkspaceKind; readonly found: number[] }[] = [];
  for (const [kind, probe] of await probeAll()) {
    if (probe.kind === "missing") missing[kind] = `${probe.what}; ${probe.hint}`;
    else times.push({ kind, found: [] });
  }
  for (const { kind } of times) await runOn(kind, bench);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { kind, found } of times) found.push(await runOn(kind, bench));
  }
  const local = median(times.find(({ kind }) => kind === "local")?.found ?? []);
  const kinds = times.map(({ kind, found }) => {
    const ms = median(found);
    return [kind, { median_ms: Math.round(ms), of_local: Math.round((ms / local) * 100) / 100 }];
  });
  return { tasks: TASKS, rounds: ROUNDS, kinds: Object.fromEntries(kinds), missing };
}

async function probeAll(): Promise<readonly (readonly [WorkspaceKind, WorkspaceProbe])[]> {
  const root = join(folder, "probe");
  const engine = openEngine(ADDRESS);
  const tools = { path: PATH, timeoutMs: IMAGE_TIMEOUT_MS };
  const docker = createDockerProvider({
    root,
    address: ADDRESS,
    image: DEFAULT_IMAGE,
    gitEnvironment: { PATH },
  });
  const isUp = await engine.facts().then(
    () => true,
    () => false,
  );
  if (isUp) await buildImage({ from: "host", include: [], engine, tools });
  return [
    ["local", await createLocalProvider({ root }).probe()],
    ["sandbox", await createSandboxProvider({ root }).probe()],
    ["docker", await docker.probe()],
    ["vm", await createVmProvider({ root, cacheDir: join(folder, "cache", "vm") }).probe()],
  ];
}

async function runOn(kind: WorkspaceKind, { fixture, env }: Bench): Promise<number> {
  const { signal } = new AbortController();
  const { durationMs } = await runMycelium({
    fixture,
    folder: join(folder, "trial"),
    env,
    signal,
    options: ["--workspace", kind],
    timeoutMs: RUN_TIMEOUT_MS,
  });
  process.stderr.write(`${kind}: ${Math.round(durationMs)} ms\n`);
  return durationMs;
}

async function makeEnvironment(): Promise<Record<string, string>> {
  const identity = "[user]\n\tname = Bench\n\temail = bench@localhost\n";
  await writeFile(join(folder, ".gitconfig"), identity);
  const cache = join(folder, "cache");
  return { PATH, HOME: folder, LC_ALL: "C.UTF-8", MYCELIUM_CACHE: cache };
}

function median(times: readonly number[]): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
