import {
  changeOwner,
  ownersOfWork,
  swarmsOf,
  teamsOf,
  type OwnedSwarm,
} from "../store/owned-work.ts";
import type { Store } from "../store/store.ts";
import { swarmOwnerSchema } from "../swarm/means.ts";
import { swarmPlanSchema } from "../swarm/swarm-request.ts";
import { teamSpecSchema } from "../teams/teams.ts";
import type { KeptAtHand } from "./kept-at-hand.ts";
import type { OperationContext } from "./operation.ts";
import { withStoreIfAny } from "./with-store.ts";

export interface AdoptedWork {
  readonly swarms: readonly string[];
  readonly teams: readonly string[];
}

const NOTHING: AdoptedWork = { swarms: [], teams: [] };

/**
 * Swarms and teams of sessions that have ended go to whoever asks: those that `workspace` has a part
 * in, or all where it is `null`. A person needs none of it: they may touch everything.
 */
export async function adoptWork(
  context: OperationContext,
  { sessions }: Pick<KeptAtHand, "sessions">,
  workspace: string | null,
): Promise<AdoptedWork> {
  const { session } = context;
  if (session.kind === "person") return NOTHING;
  return withStoreIfAny<AdoptedWork>(
    context,
    () => NOTHING,
    async (store) => {
      const adopted = { swarms: [] as string[], teams: [] as string[] };
      for (const from of await ownersOfWork(store)) {
        const { id, kind } = swarmOwnerSchema.parse(JSON.parse(from));
        if (kind === "person" || id === session.id || sessions.isLive(id)) continue;
        const taken = await takeOver(store, { from, to: JSON.stringify(session), workspace });
        adopted.swarms.push(...taken.swarms);
        adopted.teams.push(...taken.teams);
      }
      return adopted;
    },
  );
}

async function takeOver(
  store: Store,
  request: { readonly from: string; readonly to: string; readonly workspace: string | null },
): Promise<AdoptedWork> {
  const { from, workspace } = request;
  const swarms: string[] = [];
  const teams: string[] = [];
  for (const swarm of await swarmsOf(store, from)) {
    if (workspace !== null && !partsOfSwarm(swarm).includes(workspace)) continue;
    const { id } = swarm;
    if (await changeOwner(store, { table: "swarms", id }, request)) swarms.push(id);
  }
  for (const { name: id, spec } of await teamsOf(store, from)) {
    if (workspace !== null && !partsOfTeam(spec).includes(workspace)) continue;
    if (await changeOwner(store, { table: "teams", id }, request)) teams.push(id);
  }
  return { swarms, teams };
}

/** The golden, the target and the workers. */
function partsOfSwarm({ request, workers }: OwnedSwarm): readonly (string | undefined)[] {
  const { snapshot, request: asked } = swarmPlanSchema.parse(JSON.parse(request));
  return [snapshot.split("@")[0], asked.merge_target, ...workers];
}

/** The golden and the members'. */
function partsOfTeam(text: string): readonly (string | null | undefined)[] {
  const { snapshot, roles } = teamSpecSchema.parse(JSON.parse(text));
  return [snapshot?.split("@")[0], ...roles.map(({ workspace }) => workspace)];
}
