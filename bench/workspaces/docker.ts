import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDockerProvider } from "../../src/workspaces/docker/docker.ts";
import { openEngine } from "../../src/workspaces/docker/engine.ts";
import { buildImage } from "../../src/workspaces/images/build-image.ts";
import { seedRepository } from "../../test/support/seed-repository.ts";
import type { KindBench } from "./kind.ts";
import { runBare, type Stopwatch } from "./stopwatch.ts";

const IMAGE_TIMEOUT_MS = 600_000;
const OFFLINE = ["--network", "none"];
const ADDRESS = { socketPath: "/var/run/docker.sock" } as const;

/** The image that containers are made of here, built where there is none; `null` without an engine. */
export async function ensureImage(path: string): Promise<string | null> {
  const engine = openEngine(ADDRESS);
  const isUp = await engine.facts().then(
    () => true,
    () => false,
  );
  if (!isUp) return null;
  const tools = { path, timeoutMs: IMAGE_TIMEOUT_MS };
  const { image } = await buildImage({ from: "host", include: [], engine, tools });
  return image;
}

/** Containers beside the bare `docker` command. */
export async function dockerBench(path: string): Promise<KindBench> {
  const image = await ensureImage(path);
  if (image === null) throw new Error("Docker Engine does not answer");
  const folder = await mkdtemp(join(tmpdir(), "mycelium-bench-docker-"));
  const root = join(folder, "docker");
  const seed = await seedRepository();
  const { gitDir, objectFormat, head: commit } = seed;
  const gitEnvironment = { PATH: path };
  const provider = createDockerProvider({ root, address: ADDRESS, image, gitEnvironment });
  const env = { PATH: path, HOME: folder };
  return {
    kind: "docker",
    provider,
    seed: { gitDir, objectFormat, commit },
    measureBare: (watch, round) => measureDocker(watch, { round, image, env }),
    [Symbol.asyncDispose]: async () => {
      for (const id of await provider.list()) await provider.remove(id);
      for (const { id } of await provider.listSnapshots()) await provider.deleteSnapshot(id);
      await rm(folder, { recursive: true, force: true });
      await seed[Symbol.asyncDispose]();
    },
  };
}

async function measureDocker(
  watch: Stopwatch,
  {
    round,
    image,
    env,
  }: {
    readonly round: number;
    readonly image: string;
    readonly env: Readonly<Record<string, string>>;
  },
): Promise<void> {
  const docker = (...args: string[]): Promise<string> => runBare(["docker", ...args], { env });
  const name = `mycelium-bench-${process.pid}-${round}`;
  await watch.timed("bare start", () =>
    docker("run", "-d", "--name", name, ...OFFLINE, image, "sleep", "600"),
  );
  try {
    await watch.timed("bare exec", () => docker("exec", name, "true"));
  } finally {
    await watch.timed("bare destroy", () => docker("rm", "-f", name));
  }
  await watch.timed("bare start, first answer", () =>
    docker("run", "--rm", ...OFFLINE, image, "true"),
  );
}
