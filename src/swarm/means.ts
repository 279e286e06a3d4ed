import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import type { MergeMeans } from "../merging/merge-room.ts";
import type { Store } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";
import type { KeptLedger, KeptOwner } from "../workspaces/kept-ledger.ts";
import type { LastingProvider } from "../workspaces/lasting-workspace.ts";

/** What a swarm needs of the rest of the house. */
export interface SwarmMeans {
  readonly store: Store;
  readonly ledger: KeptLedger;
  readonly providers: ReadonlyMap<string, LastingProvider>;
  readonly vault: Vault;
  readonly clock: Clock;
  /** What commands get in a worker, before the swarm's own variables. */
  readonly env: Readonly<Record<string, string>>;
  readonly merging: MergeMeans;
  /** A file a swarm: held by whoever conducts it. */
  readonly locksDir: string;
  /** Takes the work of workers that is not merged and would be lost. */
  readonly rescuedDir: string;
  /** Of workers that stay. */
  readonly owner: KeptOwner;
  /** Of workers that somebody works in. */
  readonly workerOwner: (swarm: string) => KeptOwner;
  /** Promises a swarm room for so many workers until it is disposed of. Throws `quota-exceeded`. */
  readonly holdRoom: (swarm: string, workers: number) => Promise<Disposable>;
  /** Throws where whoever asks may not touch a workspace. */
  readonly refuseForeign: (workspace: string) => void;
  /** Throws where whoever asks may not fork a snapshot. */
  readonly refuseForeignSnapshot: (snapshot: string) => void;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number, message: string) => void;
}

/** Who asked, as it is recorded. */
export const swarmOwnerSchema = z.object({ id: z.string(), kind: z.enum(["person", "session"]) });
