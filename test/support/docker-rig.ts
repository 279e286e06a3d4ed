import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createDockerProvider, type DockerProviderOptions } from "../../src/workspaces/docker/docker.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import type { ProviderRig } from "./workspace-rig.ts";

export interface DockerRig extends ProviderRig {
  /** Where the host keeps what it knows of the workspaces. */
  readonly root: string;
}

export const ENGINE = { socketPath: "/var/run/docker.sock" } as const;

/** Containers of a home of their own, in a temporary folder. */
export async function dockerRig(
  image: string,
  limits: NonNullable<DockerProviderOptions["limits"]> = {},
): Promise<DockerRig> {
  const folder = await temporaryFolder();
  const root = join(folder.path, "docker");
  const gitEnvironment = { PATH: process.env["PATH"] ?? "/usr/bin:/bin" };
  const provider = createDockerProvider({ root, address: ENGINE, image, gitEnvironment, limits });
  return {
    root,
    provider,
    leaveHalfMade: async (id) => {
      await mkdir(join(root, "workspaces", id), { recursive: true });
    },
    [Symbol.asyncDispose]: async () => {
      for (const id of await provider.list()) await provider.remove(id);
      await folder[Symbol.asyncDispose]();
    },
  };
}
