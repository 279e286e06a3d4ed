import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  createDockerProvider,
  type DockerProviderOptions,
} from "../../src/workspaces/docker/docker.ts";
import { openEngine } from "../../src/workspaces/docker/engine.ts";
import { buildImage } from "../../src/workspaces/images/build-image.ts";
import { containerName, LABELS, snapshotImage } from "../../src/workspaces/docker/layout.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import type { LastingProvider } from "../../src/workspaces/lasting-workspace.ts";
import type { LastingRig } from "./lasting-rig.ts";

export interface DockerRig extends LastingRig {
  /** Where the host keeps what it knows of the workspaces. */
  readonly root: string;
}

export const DOCKER_SOCKET = "/var/run/docker.sock";
const ADDRESS = { socketPath: DOCKER_SOCKET } as const;
const BUILD_TIMEOUT_MS = 300_000;

export const engine = openEngine(ADDRESS);

const trouble = await engine.facts().then(
  () => null,
  (error: unknown) => String(error),
);

/** Whether tests that need Docker Engine are left out; never where everything is required. */
export const isSkipped = trouble !== null && process.env["MYCELIUM_REQUIRE_ALL"] !== "1";

/** For the names of suites that are skipped: what to do. */
export const whySkipped =
  trouble === null ? "" : ` (apt-get install docker.io, then start dockerd: ${trouble})`;

let image: Promise<string> | undefined;

/** A small image of this machine's own files: made once, then found. */
export function dockerImage(): Promise<string> {
  image ??= makeImage();
  return image;
}

async function makeImage(): Promise<string> {
  const tools = { path: process.env["PATH"] ?? "/usr/bin:/bin", timeoutMs: BUILD_TIMEOUT_MS };
  return (await buildImage({ from: "host", include: [], engine, tools })).image;
}

/** Containers of a home of their own, in a temporary folder. */
export async function dockerRig(
  limits: NonNullable<DockerProviderOptions["limits"]> = {},
  address: DockerProviderOptions["address"] = ADDRESS,
): Promise<DockerRig> {
  const folder = await temporaryFolder();
  const root = join(folder.path, "docker");
  const gitEnvironment = { PATH: process.env["PATH"] ?? "/usr/bin:/bin" };
  const options = { root, address, image: await dockerImage(), gitEnvironment, limits };
  const provider = createDockerProvider(options);
  return {
    root,
    provider,
    reopen: () => createDockerProvider(options),
    leaveHalfMade: async (id) => {
      await mkdir(join(root, "workspaces", id), { recursive: true });
    },
    [Symbol.asyncDispose]: async () => {
      for (const id of await provider.list()) await provider.remove(id);
      await removeSnapshots(provider);
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** What the engine has of a home, for as long as a test that goes by the program alone. */
export function emptiedDockerHome(home: string): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      const labels = { [LABELS.home]: join(home, "docker") };
      for (const found of await engine.listContainers(labels)) {
        const id = found.labels[LABELS.workspace] ?? "";
        await engine.removeContainer(containerName(join(home, "docker"), id));
      }
      for (const found of await engine.listImages(labels)) {
        const id = found[LABELS.snapshot] ?? "";
        await engine.removeImage(snapshotImage(join(home, "docker"), id));
      }
      await engine.removeNameless(labels);
    },
  };
}

/** Leaves of the tree first, until nothing is left. */
async function removeSnapshots(provider: LastingProvider): Promise<void> {
  for (let left = await provider.listSnapshots(); left.length > 0;) {
    for (const { id, references } of left) if (references === 0) await provider.deleteSnapshot(id);
    const now = await provider.listSnapshots();
    if (now.length === left.length) throw new Error(`snapshots stay: ${JSON.stringify(now)}`);
    left = now;
  }
}
