/**
 * What sandboxes cost beside a bare bubblewrap, on a checkout of many files:
 * `node bench/workspaces/sandbox.ts [files] [rounds]`. Medians, in milliseconds.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../../src/lib/process.ts";
import { createSandboxProvider } from "../../src/workspaces/sandbox.ts";
import type { Workspace } from "../../src/workspaces/workspace.ts";
import type { Result } from "../../src/domain/failure.ts";

const FILES = Number(process.argv[2] ?? 10_000);
const ROUNDS = Number(process.argv[3] ?? 9);
const FILES_A_FOLDER = 100;
const PARALLEL = 16;
const TIMEOUT_MS = 120_000;
const ENV = { PATH: "/usr/local/bin:/usr/bin:/bin" };

async function run(cwd: string, ...command: readonly [string, ...string[]]): Promise<string> {
  const result = await runProcess({
    command,
    cwd,
    env: { ...ENV, GIT_CONFIG_GLOBAL: "/dev/null", HOME: cwd },
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: 65_536,
  });
  if (result.ending.kind === "exited" && result.ending.code === 0) {
    return result.stdout.bytes.toString().trim();
  }
  throw new Error(`${command.join(" ")}: ${result.stderr.bytes.toString()}`);
}

async function makeRepository(folder: string): Promise<string> {
  for (let file = 0; file < FILES; file += 1) {
    const path = join(folder, `src/${Math.floor(file / FILES_A_FOLDER)}`);
    if (file % FILES_A_FOLDER === 0) await mkdir(path, { recursive: true });
    await writeFile(join(path, `${file}.txt`), `file ${file}\n`);
  }
  await run(folder, "git", "init", "-q", "-b", "main");
  await run(folder, "git", "add", "-A");
  await run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "seed");
  return run(folder, "git", "rev-parse", "HEAD");
}

const figures = new Map<string, number[]>();

async function measure<T>(name: string, act: () => Promise<T>): Promise<T> {
  const from = performance.now();
  const value = await act();
  const taken = figures.get(name) ?? [];
  taken.push(performance.now() - from);
  figures.set(name, taken);
  return value;
}

function must<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Error(result.failure.message);
}

async function exec(workspace: Workspace, command: string): Promise<string> {
  const { ending, stdout, stderr } = await workspace.exec({ command, timeoutMs: TIMEOUT_MS });
  if (ending.kind === "exited" && ending.code === 0) return stdout.text;
  throw new Error(`${command}: ${JSON.stringify(ending)} ${stderr.text}`);
}

const BARE = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"] as const;

const folder = await mkdtemp(join(tmpdir(), "mycelium-bench-"));
try {
  const repository = join(folder, "repository");
  await mkdir(repository);
  const commit = await makeRepository(repository);
  const provider = createSandboxProvider({ root: join(folder, "home") });
  const seed = {
    gitDir: join(repository, ".git"),
    objectFormat: "sha1",
    commit,
    branch: "task",
  } as const;
  const golden = must(
    await measure("create, first of a commit", () =>
      provider.create({ id: "golden", seed, env: ENV }),
    ),
  );
  await exec(golden, "echo more > more.txt");
  await measure("snapshot", () => golden.snapshot("one"));
  for (let round = 0; round < ROUNDS; round += 1) {
    await measure("bare bwrap", () => run("/", ...BARE));
    const made = must(
      await measure("create", () => provider.create({ id: "made", seed, env: ENV })),
    );
    await measure("exec", () => exec(made, "true"));
    await measure("git status, first", () => exec(made, "git status --porcelain"));
    await measure("git status, again", () => exec(made, "git status --porcelain"));
    await measure("destroy", () => made.destroy());
    const [fork] = await measure("fork of 1", () =>
      provider.fork("golden@one", [{ id: "fork", env: ENV }]),
    );
    if (fork === undefined) throw new Error("no fork");
    await measure("first answer of a fork", () => exec(must(fork), "cat more.txt"));
    await must(fork).destroy();
    const ids = Array.from({ length: PARALLEL }, (_none, index) => ({ id: `f${index}`, env: ENV }));
    const forks = await measure(`fork of ${PARALLEL}, together`, () =>
      provider.fork("golden@one", ids),
    );
    await measure(`bare bwrap, ${PARALLEL} together`, () =>
      Promise.all(ids.map(() => run("/", ...BARE))),
    );
    await Promise.all(forks.map((one) => must(one).destroy()));
  }
  for (const id of await provider.list()) await provider.remove(id);
  console.log(`${FILES} files, medians of ${ROUNDS}:`);
  for (const [name, taken] of figures) {
    const sorted = taken.toSorted((one, other) => one - other);
    const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
    console.log(`${name.padEnd(32)} ${median.toFixed(1).padStart(8)} ms`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
