import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createSandboxProvider } from "../../src/workspaces/sandbox.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import type { LastingRig } from "./lasting-rig.ts";

export interface SandboxRig extends LastingRig {
  /** The home of the sandboxes. */
  readonly root: string;
}

type Timeouts = NonNullable<Parameters<typeof createSandboxProvider>[0]["timeouts"]>;

/** Sandboxes in a temporary folder. */
export async function sandboxRig(timeouts: Timeouts = {}): Promise<SandboxRig> {
  const folder = await temporaryFolder();
  const root = join(folder.path, "sandboxes");
  const provider = createSandboxProvider({ root, timeouts });
  return {
    root,
    provider,
    reopen: () => createSandboxProvider({ root, timeouts }),
    leaveHalfMade: async (id) => {
      await mkdir(join(root, "workspaces", id, "upper-0/repository"), { recursive: true });
    },
    [Symbol.asyncDispose]: async () => {
      for (const id of await provider.list()) await provider.remove(id);
      await folder[Symbol.asyncDispose]();
    },
  };
}
