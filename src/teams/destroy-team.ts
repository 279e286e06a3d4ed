import { timestamp } from "../lib/clock.ts";
import { crashPoint } from "../lib/crash-point.ts";
import * as rows from "../store/teams.ts";
import { isAbandoned } from "../workspaces/kept-ledger.ts";
import { destroyKept, findKept } from "../workspaces/kept-workspaces.ts";
import { rescueWork } from "../workspaces/rescue.ts";
import { holdsWork } from "../workspaces/unlanded-work.ts";
import { findTeam, listTeams, lockTeam, refused, type TeamMeans } from "./teams.ts";

const HOLDS_WORK_TIMEOUT_MS = 120_000;

/**
 * With the teams below it. Work in members' workspaces is brought onto the host first. What a killed
 * process had begun is gone on with when it is asked for again.
 */
export async function destroyTeam(
  means: TeamMeans,
  name: string,
): Promise<{ readonly teams: readonly string[]; readonly rescued: readonly string[] }> {
  await findTeam(means, name);
  using lock = lockTeam(means, name);
  if (lock === null) throw refused(`another process is at work on the team ${name}`);
  // Read when nobody else changes it.
  const { spec } = await findTeam(means, name);
  const [teams, rescued]: [string[], string[]] = [[], []];
  for (const { name: child } of (await listTeams(means)).filter(({ parent }) => parent === name)) {
    const below = await destroyTeam(means, child);
    teams.push(...below.teams);
    rescued.push(...below.rescued);
  }
  await rows.setTeamState(means.store, name, "removing");
  crashPoint("team.removing");
  for (const { workspace } of spec.roles) {
    if (workspace !== null) rescued.push(...(await removeMember(means, workspace, spec.snapshot)));
  }
  await rows.deleteTeam(means.store, name);
  crashPoint("team.destroyed");
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
  // Somebody is just making it, under a name that is free for all by now.
  if (!found.ok && !isAbandoned(entry) && entry.state === "making") return [];
  const info = found.ok ? await found.value.workspace.info() : null;
  // Made by hand under the same name since: nobody asked for its end.
  if (info !== null && info.forkedFrom !== snapshot) return [];
  const rescued = found.ok ? await rescue(means, found.value.workspace, entry.base) : null;
  await destroyKept({ provider, ledger, owner }, id);
  crashPoint("team.member-removed");
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
