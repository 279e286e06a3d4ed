import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../../src/lib/process.ts";
import { createSandboxProvider } from "../../src/workspaces/sandbox.ts";
import type { LastingWorkspace } from "../../src/workspaces/lasting-workspace.ts";

/**
 * Sandboxes of a large and a small checkout beside the bare `bwrap` command, medians of `ROUNDS`, one
 * after the other in the same run: `node bench/workspaces/sandbox.ts [files]`. Prints one JSON object.
 */
const FILES = Number(process.argv[2] ?? 10_000);
const SIZES = { [`${FILES} files`]: FILES, "10 files": 10 };
const FILES_A_FOLDER = 100;
const ROUNDS = 9;
const FORKS = 16;
const TIMEOUT_MS = 120_000;
const ENV = { PATH: "/usr/local/bin:/usr/bin:/bin" };
const BARE = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"] as const;

const folder = await mkdtemp(join(tmpdir(), "mycelium-bench-sandbox-"));
const provider = createSandboxProvider({ root: join(folder, "sandboxes") });
const figures: Record<string, number[]> = {};

try {
  const seeds: (readonly [size: string, seed: Seed])[] = [];
  for (const [size, files] of Object.entries(SIZES)) seeds.push([size, await makeSeed(files)]);
  for (const [size, seed] of seeds) {
    await timed(`create, the first of ${size}`, () => create(`first-${seed.files}`, seed));
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [size, seed] of seeds) await measureOurs(size, seed, `${seed.files}-${round}`);
    await measureBare();
  }
  const medians = Object.entries(figures).map(([name, times]) => [name, median(times)]);
  console.log(JSON.stringify({ rounds: ROUNDS, medians_ms: Object.fromEntries(medians) }, null, 2));
} finally {
  for (const id of await provider.list()) await provider.remove(id);
  for (const { id } of (await provider.listSnapshots()).toReversed()) {
    await provider.deleteSnapshot(id);
  }
  await rm(folder, { recursive: true, force: true });
}

async function measureOurs(size: string, seed: Seed, round: string): Promise<void> {
  const workspace = await timed(`create, ${size}`, () => create(`w${round}`, seed));
  await timed("exec", () => succeed(workspace));
  await timed("exec by another process, the first", async () => {
    const found = await provider.find({ id: workspace.id, env: ENV });
    if (found !== null) await succeed(found);
  });
  const { id } = valueOf(await timed(`snapshot, ${size}`, () => workspace.snapshot("base")));
  const requests = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ id: `f${count}-${round}-${at}`, env: ENV }));
  for (const count of [1, FORKS]) {
    const forked = await timed(`fork of ${count}, ${size}`, () =>
      provider.fork(id, requests(count)),
    );
    await timed(`first answers of ${count}, ${size}`, () =>
      Promise.all(forked.map((fork) => succeed(valueOf(fork)))),
    );
  }
  for (const fork of [...requests(1), ...requests(FORKS).slice(1)]) await provider.remove(fork.id);
  await timed(`destroy of a fork, ${size}`, () => provider.remove(`f${FORKS}-${round}-0`));
  await timed(`destroy, ${size}`, () => workspace.destroy());
  valueOf(await provider.deleteSnapshot(id));
}

async function measureBare(): Promise<void> {
  await timed("bare true", () => run("/", "true"));
  await timed("bare bwrap", () => run("/", ...BARE));
  await timed(`bare bwrap, ${FORKS} at once`, () =>
    Promise.all(Array.from({ length: FORKS }, () => run("/", ...BARE))),
  );
}

interface Seed {
  readonly files: number;
  readonly gitDir: string;
  readonly commit: string;
}

async function makeSeed(files: number): Promise<Seed> {
  const repository = join(folder, `repository-${files}`);
  for (let file = 0; file < files; file += 1) {
    const path = join(repository, `src/${Math.floor(file / FILES_A_FOLDER)}`);
    if (file % FILES_A_FOLDER === 0) await mkdir(path, { recursive: true });
    await writeFile(join(path, `${file}.txt`), `file ${file}\n`);
  }
  await run(repository, "git", "init", "-q", "-b", "main");
  await run(repository, "git", "add", "-A");
  await run(
    repository,
    "git",
    "-c",
    "user.name=a",
    "-c",
    "user.email=a@b",
    "commit",
    "-qm",
    "seed",
  );
  const commit = await run(repository, "git", "rev-parse", "HEAD");
  return { files, gitDir: join(repository, ".git"), commit };
}

async function create(id: string, { gitDir, commit }: Seed): Promise<LastingWorkspace> {
  const seed = { gitDir, objectFormat: "sha1", commit, branch: "task" } as const;
  return valueOf(await provider.create({ id, seed, env: ENV }));
}

async function succeed(workspace: LastingWorkspace): Promise<void> {
  const { ending } = await workspace.exec({ command: ["true"], timeoutMs: TIMEOUT_MS });
  if (ending.kind !== "exited" || ending.code !== 0) throw new Error(JSON.stringify(ending));
}

async function run(cwd: string, ...command: readonly [string, ...string[]]): Promise<string> {
  const env = { ...ENV, GIT_CONFIG_GLOBAL: "/dev/null", HOME: cwd };
  const means = { cwd, env, timeoutMs: TIMEOUT_MS, outputBytesMax: 65_536 };
  const { ending, stdout, stderr } = await runProcess({ command, ...means });
  if (ending.kind === "exited" && ending.code === 0) return stdout.bytes.toString().trim();
  throw new Error(`${command.join(" ")}: ${stderr.bytes.toString()}`);
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
