import { z } from "zod";
import { Refusal } from "../domain/failure.ts";
import { tryLockFile, type FileLock } from "../lib/file-lock.ts";
import { crashPoint } from "../lib/crash-point.ts";
import * as rows from "../store/teams.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../lib/clock.ts";
import type { KeptLedger, KeptOwner } from "../workspaces/kept-ledger.ts";
import type { LastingProvider } from "../workspaces/lasting-workspace.ts";
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
  /** Takes room of whoever asks for so many workspaces; `claim` takes it before it waits. */
  readonly claimRoom: <T>(workspaces: number, claim: () => T) => Promise<T>;
  /** Throws where whoever asks may not fork a snapshot. */
  readonly refuseForeignSnapshot: (snapshot: string) => void;
}

const roleSchema = z.object({
  name: z.string(),
  role: z.string(),
  skills: z.array(z.string()),
  description: z.string(),
  /** Forked for this member; `null` where no golden was named. */
  workspace: z.string().nullable(),
});

export const teamSpecSchema = z.object({
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
  readonly spec: z.output<typeof teamSpecSchema>;
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

export interface Message {
  readonly team: string;
  readonly from: string;
  /** A member, or `*` for all the others. */
  readonly to: string;
  readonly type: string;
  readonly content: string;
  /** The sender's own name for it: what has one is sent once, however often it is asked for. */
  readonly key: string | null;
}

/** To all who are meant, or, where one inbox is full, to none. */
export async function sendMessage(means: TeamMeans, message: Message): Promise<readonly string[]> {
  const { team, from: sender, to, type, content, key } = message;
  const { spec } = await findTeam(means, team);
  const others = spec.roles.map(({ name }) => name).filter((name) => name !== sender);
  const recipients = to === "*" ? others : [memberOf(spec.roles, to)];
  const rowsToSend = recipients.map((recipient) => ({ team, sender, recipient, type, content }));
  const delivery = key === null ? null : { team, sender, key };
  const limits = { inboxMax: TEAM_LIMITS.inbox, keysMax: TEAM_LIMITS.messageKeys };
  const sent = await rows.insertMessages(means.store, rowsToSend, { ...limits, delivery });
  crashPoint("team.message-sent");
  if (sent === "too-many-keys") {
    throw refused(`${sender} has sent ${TEAM_LIMITS.messageKeys} messages with an id, the most`);
  }
  const { full } = sent;
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
  return { name, state, parent, createdAt, owner, spec: teamSpecSchema.parse(JSON.parse(spec)) };
}

/** Held by whoever makes or destroys a team; `null` where another process does. */
export function lockTeam({ ledger }: Pick<TeamMeans, "ledger">, name: string): FileLock | null {
  return tryLockFile(ledger.lockPath(`team-${name}`));
}

export function refused(message: string): Refusal {
  return new Refusal("team-refused", message, {
    hint: "`mycelium team list` shows the teams and their members",
  });
}
