import type {
  LastingProvider,
  LastingRequest,
  LastingWorkspace,
} from "../../src/workspaces/lasting-workspace.ts";
import type { Result } from "../../src/domain/failure.ts";
import { ENV, type ProviderRig } from "./workspace-rig.ts";

/** A provider of workspaces that are kept, with a place of its own, for one test. */
export interface LastingRig extends ProviderRig {
  readonly provider: LastingProvider;
}

export type MakeLastingRig = () => Promise<LastingRig>;

/** A workspace with an empty folder in the repository's place. */
export async function makeEmpty(
  { provider }: LastingRig,
  id = "one",
  request: Partial<LastingRequest> = {},
): Promise<LastingWorkspace> {
  return valueOf(await provider.create({ id, seed: null, env: ENV, ...request }));
}

/** As another process would find it. */
export async function findAgain({ provider }: LastingRig, id = "one"): Promise<LastingWorkspace> {
  const found = await provider.find({ id, env: ENV });
  if (found === null) throw new Error(`there is no workspace ${id}`);
  return found;
}

/** What must have succeeded. */
export function valueOf<T>(result: Result<T> | undefined): T {
  if (result?.ok === true) return result.value;
  throw new Error(JSON.stringify(result?.failure));
}
