import { Refusal } from "../domain/failure.ts";
import { crashPoint } from "../lib/crash-point.ts";
import * as rows from "../store/teams.ts";
import { isAbandoned } from "../workspaces/kept-ledger.ts";
import { destroyKept, findKept, forkKept } from "../workspaces/kept-workspaces.ts";
import type { LastingProvider } from "../workspaces/lasting-workspace.ts";
import { isWorkspaceName, snapshotId } from "../workspaces/workspace-name.ts";
import { TEAM_LIMITS } from "./limits.ts";
import { findTeam, lockTeam, refused, type Team, type TeamMeans, type TeamRole } from "./teams.ts";

export interface NewTeam {
  readonly name: string;
  readonly roles: readonly Omit<TeamRole, "workspace">[];
  readonly vmsMax: number;
  readonly golden: { readonly workspace: string; readonly snapshot: string } | null;
  readonly parent: string | null;
  readonly owner: { readonly id: string; readonly kind: string };
}

/**
 * Records a team, then forks a workspace for each member where a golden is named: all or none. What
 * a killed process had begun is gone on with when the same is asked for again.
 */
export async function createTeam(means: TeamMeans, team: NewTeam): Promise<Team> {
  await checkParent(means, team);
  const spec = specOf(means, team);
  const { name, parent } = team;
  const { snapshot } = spec;
  const row = { name, parent, owner: JSON.stringify(team.owner), spec: JSON.stringify(spec) };
  using lock = lockTeam(means, name);
  if (lock === null) throw taken(name, "another process is at work on it: wait for it");
  const inserted = await rows.insertTeam(means.store, row, TEAM_LIMITS.teams);
  if (inserted === "full") throw refused(`there are ${TEAM_LIMITS.teams} teams, the most`);
  if (inserted === "taken") await refuseOther(means, row);
  crashPoint("team.recorded");
  if (snapshot !== null) {
    const { createdAt } = await findTeam(means, name);
    const ids = spec.roles.flatMap(({ workspace }) => workspace ?? []);
    const isAgain = inserted === "taken";
    await forkMembers(means, { name, snapshot, ids, createdAt, isAgain });
  }
  crashPoint("team.forked");
  await rows.setTeamState(means.store, name, "ready");
  crashPoint("team.ready");
  return findTeam(means, name);
}

async function checkParent(means: TeamMeans, { parent }: NewTeam): Promise<void> {
  let depth = 1;
  for (let above = parent; above !== null; depth += 1) {
    if (depth >= TEAM_LIMITS.depth)
      throw refused(`teams are nested ${TEAM_LIMITS.depth} deep at most`);
    above = (await findTeam(means, above)).parent;
  }
}

function specOf(means: TeamMeans, team: NewTeam): Team["spec"] {
  const { golden, name, vmsMax } = team;
  const snapshot = golden === null ? null : snapshotId(golden.workspace, golden.snapshot);
  if (snapshot !== null) {
    if (means.ledger.find(snapshot)?.what !== "snapshot") {
      throw new Refusal("workspace-missing", `there is no snapshot ${JSON.stringify(snapshot)}`, {
        hint: "workspace_prepare makes one",
      });
    }
    means.refuseForeignSnapshot(snapshot);
  }
  const roles = team.roles.map((role) => ({
    ...role,
    workspace: snapshot === null ? null : `${name}-${role.name}`,
  }));
  if (snapshot !== null && roles.length > vmsMax) {
    throw refused(`${roles.length} members need more workspaces than max_vms, ${vmsMax}`);
  }
  const odd = roles.find(({ workspace }) => workspace !== null && !isWorkspaceName(workspace));
  if (odd !== undefined) throw refused(`${odd.workspace} cannot be the name of a workspace`);
  return { roles, max_vms: vmsMax, snapshot };
}

/** Only the very same is gone on with, and only where it never came to be whole. */
async function refuseOther(
  { store }: TeamMeans,
  { name, owner, parent, spec }: Parameters<typeof rows.insertTeam>[1],
): Promise<void> {
  const there = await rows.findTeam(store, name);
  if (there?.state !== "making") throw taken(name, "choose another name, or destroy it");
  const isSame = there.owner === owner && there.parent === parent && there.spec === spec;
  if (!isSame) throw taken(name, "its maker was killed: destroy it, then make it anew");
}

function taken(name: string, hint: string): Refusal {
  return new Refusal("team-exists", `there is a team ${name} already`, { hint });
}

interface Forking {
  readonly name: string;
  readonly snapshot: string;
  readonly ids: readonly string[];
  readonly createdAt: string;
  /** Whether a killed process may have made some of them. */
  readonly isAgain: boolean;
}

async function forkMembers(means: TeamMeans, team: Forking): Promise<void> {
  const { ledger, providers, env, owner } = means;
  const { snapshot } = team;
  const provider = providers.get(ledger.find(snapshot)?.kind ?? "");
  if (provider === undefined) throw refused("no workspace could be forked");
  const made = team.isAgain ? await takeStock(means, provider, team) : [];
  const missing = team.ids.filter((id) => !made.includes(id));
  try {
    const requests = missing.map((id) => ({ id, env }));
    const claim = () => forkKept({ provider, ledger, owner }, snapshot, requests);
    const forks = missing.length === 0 ? [] : await means.claimRoom(missing.length, claim);
    for (const [at, fork] of forks.entries()) if (fork.ok) made.push(missing[at] ?? "");
    const failed = forks.find((fork) => !fork.ok);
    if (failed?.ok === false) throw refused(failed.failure.message);
  } catch (error) {
    // Only what was made for it: a name that was taken is another's.
    for (const id of made) await destroyKept({ provider, ledger, owner }, id);
    await rows.deleteTeam(means.store, team.name);
    throw error;
  }
}

/** Those members' workspaces that are whole; what is half made of others is taken away. */
async function takeStock(
  { ledger, providers, env, owner }: TeamMeans,
  provider: LastingProvider,
  { ids, snapshot, createdAt }: Forking,
): Promise<string[]> {
  const whole: string[] = [];
  for (const id of ids) {
    const entry = ledger.find(id);
    if (entry === null) continue;
    if (isAbandoned(entry)) {
      await provider.endLeftovers(id);
      await destroyKept({ provider, ledger, owner }, id);
      continue;
    }
    const found = await findKept(ledger, providers, { id, env });
    const info = found.ok ? await found.value.workspace.info() : null;
    if (info?.forkedFrom === snapshot && info.createdAt >= createdAt) whole.push(id);
  }
  return whole;
}
