import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSandboxProvider } from "../../src/workspaces/sandbox.ts";
import { sandboxMarker } from "../../src/workspaces/sandbox/start.ts";
import { processesWith } from "../../test/support/marked-processes.ts";
import { FORKS, type KindBench } from "./kind.ts";
import { runBare, valueOf, type Stopwatch } from "./stopwatch.ts";

const FILES = 10_000;
const FEW_FILES = 10;
const FILES_A_FOLDER = 100;
const BARE = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"] as const;

/** Sandboxes of a large checkout, and forks of one of a small, beside the bare `bwrap` command. */
export async function sandboxBench(path: string): Promise<KindBench> {
  const folder = await mkdtemp(join(await realpath(tmpdir()), "mycelium-bench-sandbox-"));
  const root = join(folder, "sandboxes");
  const provider = createSandboxProvider({ root });
  const env = { PATH: path };
  const small = await makeSeed(folder, FEW_FILES, env);
  const made = await provider.create({ id: "small", seed: { ...small, branch: "task" }, env });
  const { id: snapshot } = valueOf(await valueOf(made).snapshot("base"));
  return {
    kind: "sandbox",
    provider,
    seed: await makeSeed(folder, FILES, env),
    pidsOf: async (id) =>
      processesWith(sandboxMarker(join(root, "workspaces", id))).map(({ pid }) => pid),
    measureBare: async (watch, round) => {
      await measureBwrap(watch, env);
      const id = `few-${round}`;
      const [fork] = await watch.timed("fork of few files", () =>
        provider.fork(snapshot, [{ id, env }]),
      );
      valueOf(fork);
      await provider.remove(id);
    },
    [Symbol.asyncDispose]: async () => {
      for (const id of await provider.list()) await provider.remove(id);
      for (const { id } of (await provider.listSnapshots()).toReversed()) {
        await provider.deleteSnapshot(id);
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function measureBwrap(watch: Stopwatch, env: { readonly PATH: string }): Promise<void> {
  await watch.timed("bare exec", () => runBare(["true"], { env }));
  await watch.timed("bare start", () => runBare(BARE, { env }));
  await watch.timed(`bare start of ${FORKS}`, () =>
    Promise.all(Array.from({ length: FORKS }, () => runBare(BARE, { env }))),
  );
}

async function makeSeed(
  folder: string,
  files: number,
  { PATH }: { readonly PATH: string },
): Promise<KindBench["seed"]> {
  const repository = join(folder, `repository-${files}`);
  for (let file = 0; file < files; file += 1) {
    const path = join(repository, `src/${Math.floor(file / FILES_A_FOLDER)}`);
    if (file % FILES_A_FOLDER === 0) await mkdir(path, { recursive: true });
    await writeFile(join(path, `${file}.txt`), `file ${file}\n`);
  }
  const identity = ["-c", "user.name=Bench", "-c", "user.email=bench@localhost"];
  // Tidying so many objects up would go on in the background, beside what is measured.
  const noTidying = ["-c", "gc.auto=0", "-c", "maintenance.auto=false"];
  const env = { PATH, GIT_CONFIG_GLOBAL: "/dev/null", HOME: folder };
  const git = (...args: string[]): Promise<string> =>
    runBare(["git", ...identity, ...noTidying, ...args], { cwd: repository, env });
  await git("init", "-q", "-b", "main");
  await git("add", "-A");
  await git("commit", "-qm", "seed");
  const commit = await git("rev-parse", "HEAD");
  return { gitDir: join(repository, ".git"), objectFormat: "sha1", commit };
}
