import { z } from "zod";
import { Refusal } from "../domain/failure.ts";
import { timestamp } from "../lib/clock.ts";
import * as rows from "../store/teams.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../lib/clock.ts";
import type { KeptLedger, KeptOwner } from "../workspaces/kept-ledger.ts";
import { destroyKept, findKept, forkKept } from "../workspaces/kept-workspaces.ts";
import type { LastingProvider } from "../workspaces/lasting-workspace.ts";
import { rescueWork } from "../workspaces/rescue.ts";
import { holdsWork } from "../workspaces/unlanded-work.ts";
import { isWorkspaceName, snapshotId } from "../workspaces/workspace-name.ts";
import { TEAM_LIMITS } from "./limits.ts";

export interface TeamMeans {
  readonly store: Store;
  readonly clock: Clock;
  readonly ledger: KeptLedger;
  readonly providers: ReadonlyMap<string, LastingProvider>;
  readonly env: Readonly<Record<string, string>>;
  readonly rescuedDir: string;
  /** Of the workspaces of a team. */
  readonly owner: KeptOwner;
}

const roleSchema = z.object({
  name: z.string(),
  role: z.string(),
  skills: z.array(z.string()),
  description: z.string(),
  /** Forked for this member; `null` where no golden was named. */
  workspace: z.string().nullable(),
});

const specSchema = z.object({
  roles: z.array(roleSchema),
  max_vms: z.int(),
  snapshot: z.string().nullable(),
});

export type TeamRole = z.output<typeof roleSchema>;

export interface Team {
  readonly name: string;
  readonly state: rows.TeamRow["state"];
  readonly parent: string | null;
  readonly createdAt: string;
  readonly owner: string;
  readonly spec: z.output<typeof specSchema>;
}

export interface NewTeam {
  readonly name: string;
  readonly roles: readonly Omit<TeamRole, "workspace">[];
  readonly vmsMax: number;
  readonly golden: { readonly workspace: string; readonly snapshot: string } | null;
  readonly parent: string | null;
  readonly owner: { readonly id: string; readonly kind: string };
}

const HOLDS_WORK_TIMEOUT_MS = 120_000;

/** Records a team, then forks a workspace for each member where a golden is named: all or none. */
export async function createTeam(means: TeamMeans, team: NewTeam): Promise<Team> {
  await checkParent(means, team);
  const snapshot =
    team.golden === null ? null : snapshotId(team.golden.workspace, team.golden.snapshot);
  const entry = snapshot === null ? null : means.ledger.find(snapshot);
  if (snapshot !== null && entry?.what !== "snapshot") {
    throw new Refusal("workspace-missing", `there is no snapshot ${JSON.stringify(snapshot)}`, {
      hint: "workspace_prepare makes one",
    });
  }
  const roles = team.roles.map((role) => ({
    ...role,
    workspace: snapshot === null ? null : `${team.name}-${role.name}`,
  }));
  if (snapshot !== null && roles.length > team.vmsMax) {
    throw refused(`${roles.length} members need more workspaces than max_vms, ${team.vmsMax}`);
  }
  const odd = roles.find(({ workspace }) => workspace !== null && !isWorkspaceName(workspace));
  if (odd !== undefined) throw refused(`${odd.workspace} cannot be the name of a workspace`);
  const spec = { roles, max_vms: team.vmsMax, snapshot };
  const { name, parent } = team;
  const row = { name, parent, owner: JSON.stringify(team.owner), spec: JSON.stringify(spec) };
  const inserted = await rows.insertTeam(means.store, row, TEAM_LIMITS.teams);
  if (inserted === "taken") {
    throw new Refusal("team-exists", `there is a team ${name} already`, {
      hint: "choose another name, or destroy it",
    });
  }
  if (inserted === "full") throw refused(`there are ${TEAM_LIMITS.teams} teams, the most`);
  if (snapshot !== null && entry !== null) await forkMembers(means, { name, snapshot, roles });
  await rows.setTeamState(means.store, name, "ready");
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

async function forkMembers(
  means: TeamMeans,
  team: { readonly name: string; readonly snapshot: string; readonly roles: readonly TeamRole[] },
): Promise<void> {
  const { ledger, providers, env, owner } = means;
  const provider = providers.get(ledger.find(team.snapshot)?.kind ?? "");
  const ids = team.roles.flatMap(({ workspace }) => workspace ?? []);
  const forks =
    provider === undefined
      ? []
      : await forkKept(
          { provider, ledger, owner },
          team.snapshot,
          ids.map((id) => ({ id, env })),
        );
  const failed = forks.find((fork) => !fork.ok);
  if (forks.length === ids.length && failed === undefined) return;
  // Only what this call made: a name that was taken is another's.
  for (const [at, fork] of forks.entries()) {
    const id = ids[at];
    if (fork.ok && provider !== undefined && id !== undefined) {
      await destroyKept({ provider, ledger, owner }, id);
    }
  }
  await rows.deleteTeam(means.store, team.name);
  throw refused(failed?.ok === false ? failed.failure.message : "no workspace could be forked");
}

/** Throws `team-missing`. */
export async function findTeam({ store }: Pick<TeamMeans, "store">, name: string): Promise<Team> {
  const row = await rows.findTeam(store, name);
  if (row !== undefined) return toTeam(row);
  throw new Refusal("team-missing", `there is no team ${JSON.stringify(name)}`, {
    hint: "`mycelium team list` shows what there is",
  });
}

export async function listTeams({ store }: Pick<TeamMeans, "store">): Promise<readonly Team[]> {
  return (await rows.listTeams(store)).map(toTeam);
}

/** With the teams below it. Work in members' workspaces is brought onto the host first. */
export async function destroyTeam(
  means: TeamMeans,
  name: string,
): Promise<{ readonly teams: readonly string[]; readonly rescued: readonly string[] }> {
  const { spec } = await findTeam(means, name);
  const [teams, rescued]: [string[], string[]] = [[], []];
  for (const { name: child } of (await listTeams(means)).filter(({ parent }) => parent === name)) {
    const below = await destroyTeam(means, child);
    teams.push(...below.teams);
    rescued.push(...below.rescued);
  }
  await rows.setTeamState(means.store, name, "removing");
  for (const { workspace } of spec.roles) {
    if (workspace !== null) rescued.push(...(await removeMember(means, workspace, spec.snapshot)));
  }
  await rows.deleteTeam(means.store, name);
  return { teams: [...teams, name], rescued };
}

async function removeMember(
  means: TeamMeans,
  id: string,
  snapshot: string | null,
): Promise<readonly string[]> {
  const { ledger, providers, env, owner } = means;
  const entry = ledger.find(id);
  const provider = providers.get(entry?.kind ?? "");
  if (entry === null || provider === undefined) return [];
  const found = await findKept(ledger, providers, { id, env });
  const info = found.ok ? await found.value.workspace.info() : null;
  // Made by hand under the same name since: nobody asked for its end.
  if (info !== null && info.forkedFrom !== snapshot) return [];
  const rescued = found.ok ? await rescue(means, found.value.workspace, entry.base) : null;
  await destroyKept({ provider, ledger, owner }, id);
  return rescued === null ? [] : [rescued];
}

async function rescue(
  { rescuedDir: root, clock }: TeamMeans,
  workspace: Parameters<typeof rescueWork>[0]["workspace"],
  base: string | null,
): Promise<string | null> {
  const timeoutMs = HOLDS_WORK_TIMEOUT_MS;
  if (base !== null && !(await holdsWork(workspace, { base, timeoutMs }))) return null;
  const at = timestamp(clock);
  const saved = await rescueWork({ workspace, base, root, reason: "its team was destroyed", at });
  if (saved.ok) return saved.value;
  throw refused(`${workspace.id} stays, and its team: ${saved.failure.message}`);
}

export interface Message {
  readonly team: string;
  readonly from: string;
  /** A member, or `*` for all the others. */
  readonly to: string;
  readonly type: string;
  readonly content: string;
}

/** To all who are meant, or, where one inbox is full, to none. */
export async function sendMessage(means: TeamMeans, message: Message): Promise<readonly string[]> {
  const { team, from: sender, to, type, content } = message;
  const { spec } = await findTeam(means, team);
  const others = spec.roles.map(({ name }) => name).filter((name) => name !== sender);
  const recipients = to === "*" ? others : [memberOf(spec.roles, to)];
  const rowsToSend = recipients.map((recipient) => ({ team, sender, recipient, type, content }));
  const full = await rows.insertMessages(means.store, rowsToSend, TEAM_LIMITS.inbox);
  if (full.length === 0) return recipients;
  throw refused(`the inbox of ${full.join(", ")} is full: ${TEAM_LIMITS.inbox} messages wait`);
}

export async function receiveMessages(
  means: TeamMeans,
  request: rows.Receiving,
): ReturnType<typeof rows.receiveMessages> {
  const { spec } = await findTeam(means, request.team);
  memberOf(spec.roles, request.recipient);
  return rows.receiveMessages(means.store, request);
}

export async function waitingMessages(
  { store }: Pick<TeamMeans, "store">,
  team: string,
): Promise<ReadonlyMap<string, number>> {
  return rows.countMessages(store, team);
}

function memberOf(roles: readonly TeamRole[], name: string): string {
  if (roles.some((role) => role.name === name)) return name;
  const members = roles.map((role) => role.name).join(", ");
  throw refused(`${JSON.stringify(name)} is no member: there are ${members}`);
}

function toTeam({ name, state, parent, created_at: createdAt, owner, spec }: rows.TeamRow): Team {
  return { name, state, parent, createdAt, owner, spec: specSchema.parse(JSON.parse(spec)) };
}

function refused(message: string): Refusal {
  return new Refusal("team-refused", message, {
    hint: "`mycelium team list` shows the teams and their members",
  });
}
