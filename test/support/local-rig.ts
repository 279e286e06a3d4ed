import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createLocalProvider, type LocalProviderOptions } from "../../src/workspaces/local.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import type { LastingRig } from "./lasting-rig.ts";

export interface LocalRig extends LastingRig {
  /** Where the workspaces are. */
  readonly root: string;
}

/** Local workspaces in a temporary folder. */
export async function localRig(
  limits: NonNullable<LocalProviderOptions["limits"]> = {},
): Promise<LocalRig> {
  const folder = await temporaryFolder();
  const root = join(folder.path, "workspaces");
  const provider = createLocalProvider({ root, limits });
  return {
    root,
    provider,
    reopen: () => createLocalProvider({ root, limits }),
    leaveHalfMade: async (id) => {
      await mkdir(join(root, id, "repository/.git"), { recursive: true });
    },
    [Symbol.asyncDispose]: async () => {
      for (const id of await provider.list()) await provider.remove(id);
      await folder[Symbol.asyncDispose]();
    },
  };
}
