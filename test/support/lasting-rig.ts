import type { LastingProvider, LastingWorkspace } from "../../src/workspaces/lasting-workspace.ts";
import type { SeedRepository } from "./seed-repository.ts";
import { ENV, type ProviderRig } from "./workspace-rig.ts";

/** What a kind of kept workspaces truly cannot do is declared, and then refused by name. */
export interface LastingAbilities {
  /** A host name and machine id of its own; otherwise the variable `HOSTNAME` alone. */
  readonly ownHostName: boolean;
  /** `network: none`. */
  readonly networkNone: boolean;
  /** What of the network one reaches can change while it is stopped. */
  readonly networkChange?: boolean;
  readonly limits: boolean;
  /** Running processes are in snapshots and go on in forks. */
  readonly liveForks: boolean;
  /** A port can be forwarded to any port of the host. */
  readonly anyHostPort: boolean;
  readonly console: boolean;
  /** Files of a stopped one can be written and read; otherwise they are refused. */
  readonly filesWhileStopped?: boolean;
}

export interface LastingRig extends ProviderRig {
  readonly provider: LastingProvider;
  /** The same workspaces as another process sees them. */
  reopen(): LastingProvider;
}

export interface LastingMeans {
  readonly makeRig: () => Promise<LastingRig>;
  readonly seed: () => SeedRepository;
  readonly can: LastingAbilities;
}

/** A workspace seeded at the only commit, on the branch `task`. */
export async function makeLasting(
  { provider }: { readonly provider: LastingProvider },
  seed: SeedRepository | null,
  id = "one",
): Promise<LastingWorkspace> {
  const from = seed === null ? null : seedOf(seed);
  return value(await provider.create({ id, seed: from, env: ENV }));
}

export function seedOf({ gitDir, objectFormat, head: commit }: SeedRepository) {
  return { gitDir, objectFormat, commit, branch: "task" };
}

/** The value of what must have gone well. */
export function value<T>(result: { ok: true; value: T } | { ok: false; failure: object }): T {
  if (result.ok) return result.value;
  throw new Error(JSON.stringify(result.failure));
}
