import { join } from "node:path";
import { Refusal } from "../domain/failure.ts";
import { readSwarm } from "../swarm/swarm-record.ts";
import { swarmOwnerSchema, type SwarmMeans } from "../swarm/means.ts";
import type { MergeMeans } from "../merging/merge-room.ts";
import { openKept } from "./kept-at-hand.ts";
import type { OperationContext } from "./operation.ts";
import {
  holdRoom,
  isOwnedBy,
  ownerOf,
  refuseForeignSnapshot,
  workerOwnerOf,
} from "./owned-workspace.ts";
import { isGoldenOf } from "./operations/tools/goldens.ts";
import { vaultOf } from "./operations/vault.ts";
import { withStore } from "./with-store.ts";

const MIB = 1024 * 1024;

/** What merges on this machine need, whoever asks for one. */
export function mergeMeansOf({
  environment,
  clock,
}: Pick<OperationContext, "environment" | "clock">): MergeMeans {
  const env = { PATH: environment.path, HOME: environment.userHome };
  const bytesMax = environment.mergeMb * MIB;
  return { folder: join(environment.home, "merging"), env, clock, bytesMax };
}

export async function withSwarmMeans<T>(
  context: OperationContext,
  work: (means: SwarmMeans) => Promise<T>,
): Promise<T> {
  const { environment, clock, signal, session } = context;
  const kept = openKept(context);
  const { ledger, providers, env } = kept;
  return withStore(context, [], (store) =>
    work({
      store,
      ledger,
      providers,
      env,
      clock,
      signal,
      vault: vaultOf(context),
      merging: mergeMeansOf(context),
      locksDir: join(environment.home, "swarms"),
      rescuedDir: join(environment.home, "rescued"),
      owner: ownerOf(session),
      workerOwner: (swarm) => workerOwnerOf(session, swarm),
      holdRoom: (id, workspaces) => holdRoom(context, kept, { id, workspaces }),
      refuseForeign: (id) => {
        const entry = ledger.find(id);
        if (entry === null || isOwnedBy(entry.owner, session)) return;
        throw new Refusal("not-owner", `the workspace ${id} is not this session's`, {
          hint: "use a workspace of your own, or adopt this one first",
          details: { workspace: id },
        });
      },
      refuseForeignSnapshot: (id) => {
        if (!isGoldenOf(id)) refuseForeignSnapshot(context, kept, id);
      },
      onProgress: (done, total, message) => context.onProgress?.(done, total, message),
    }),
  );
}

/** Throws where the swarm is another session's. A person may touch all of them. */
export async function refuseForeignSwarm(
  means: SwarmMeans,
  { session }: OperationContext,
  id: string,
): Promise<void> {
  const { row } = await readSwarm(means, id);
  if (session.kind === "person" || isOwnSwarm(row.owner, session)) return;
  throw new Refusal("swarm-refused", `${id} is another session's swarm`, {
    hint: "`swarm_list` shows your own; workspace_adopt takes over those of sessions that have ended",
  });
}

export function isOwnSwarm(owner: string, session: OperationContext["session"]): boolean {
  if (session.kind === "person") return true;
  const { id, kind } = swarmOwnerSchema.parse(JSON.parse(owner));
  return kind === "session" && id === session.id;
}
