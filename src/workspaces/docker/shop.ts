import { join } from "node:path";
import { Refusal, type Result } from "../../domain/failure.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import type { DockerLimits } from "./docker-workspace.ts";
import type { EngineAddress } from "./engine-asking.ts";
import type { Engine } from "./engine.ts";
import type { SeedBundles } from "./seed-bundle.ts";

export interface DockerProviderLimits extends DockerLimits {
  readonly checkoutTimeoutMs: number;
  readonly sweepTimeoutMs: number;
  readonly seedBytesMax: number;
}

/** What making, finding and removing workspaces is done with. */
export interface Shop {
  readonly engine: Engine;
  /** Where the engine listens, for processes that outlive this one. */
  readonly address: () => EngineAddress;
  /** Without symbolic links: containers carry it as a label. */
  readonly home: string;
  readonly image: string;
  readonly limits: DockerProviderLimits;
  readonly seeds: SeedBundles;
}

/** What the host knows of a workspace. Nothing in a container can reach it. */
export function folderOf({ home }: Pick<Shop, "home">, id: string): string {
  return join(home, "workspaces", id);
}

/** Held while a workspace is changed, by whichever process. */
export function lockOf(shop: Pick<Shop, "home">, id: string): string {
  return join(folderOf(shop, id), "lock");
}

/** Turns what the engine or the disk refuses into a failure; everything else thrown is a bug. */
export async function orFailure<T>(id: string, act: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, failure: error.failure };
    const code = codeOf(error);
    if (code === "") throw error;
    const hint = code === "EEXIST" ? { hint: "remove it first, or choose another id" } : {};
    return workspaceFailure(`cannot make workspace ${id}: ${String(error)}`, {
      cause: error,
      ...hint,
    });
  }
}
