import type { Insertable, Selectable } from "kysely";
import type { Store } from "./store.ts";
import { crashPoint } from "../lib/crash-point.ts";
import type { TeamDeliveriesTable, TeamMessagesTable, TeamsTable } from "./tables.ts";

export type TeamRow = Selectable<TeamsTable>;
export type TeamMessageRow = Selectable<TeamMessagesTable>;

/** `taken` where there is one of that name, `full` where there are `teamsMax`. */
export async function insertTeam(
  store: Store,
  team: Omit<Insertable<TeamsTable>, "state" | "created_at">,
  teamsMax: number,
): Promise<"made" | "taken" | "full"> {
  return store.record(async ({ tables, now: created_at }) => {
    const names = await tables.selectFrom("teams").select("name").execute();
    if (names.some(({ name }) => name === team.name)) return "taken";
    if (names.length >= teamsMax) return "full";
    await tables
      .insertInto("teams")
      .values({ ...team, state: "making", created_at })
      .execute();
    return "made";
  });
}

export async function findTeam(store: Store, name: string): Promise<TeamRow | undefined> {
  return store.tables.selectFrom("teams").selectAll().where("name", "=", name).executeTakeFirst();
}

export async function listTeams(store: Store): Promise<readonly TeamRow[]> {
  return store.tables.selectFrom("teams").selectAll().orderBy("name").execute();
}

export async function setTeamState(
  store: Store,
  name: string,
  state: TeamRow["state"],
): Promise<void> {
  await store.record(async ({ tables }) => {
    await tables.updateTable("teams").set({ state }).where("name", "=", name).execute();
  });
}

/** With its messages, those that nobody has received too. */
export async function deleteTeam(store: Store, name: string): Promise<void> {
  await store.record(async ({ tables }) => {
    await tables.deleteFrom("team_messages").where("team", "=", name).execute();
    await tables.deleteFrom("team_deliveries").where("team", "=", name).execute();
    await tables.deleteFrom("teams").where("name", "=", name).execute();
  });
}

export interface Sending {
  readonly inboxMax: number;
  /** Of one sender in one team. */
  readonly keysMax: number;
  /** What is there already was sent: it is not sent again. */
  readonly delivery: Omit<Insertable<TeamDeliveriesTable>, "sent_at"> | null;
}

/** To all recipients or to none: answers those whose inbox is full. */
export async function insertMessages(
  store: Store,
  messages: readonly Omit<Insertable<TeamMessagesTable>, "sent_at">[],
  { inboxMax, keysMax, delivery }: Sending,
): Promise<{ readonly full: readonly string[] } | "too-many-keys"> {
  return store.record(async ({ tables, now: sent_at }) => {
    const full: string[] = [];
    if (delivery !== null) {
      const { team, sender, key } = delivery;
      const ofSender = () =>
        tables.selectFrom("team_deliveries").where("team", "=", team).where("sender", "=", sender);
      const sent = await ofSender().select("key").where("key", "=", key).executeTakeFirst();
      if (sent !== undefined) return { full };
      const { count } = await ofSender()
        .select((select) => select.fn.countAll<number>().as("count"))
        .executeTakeFirstOrThrow();
      if (Number(count) >= keysMax) return "too-many-keys";
    }
    for (const { team, recipient } of messages) {
      const { waiting } = await tables
        .selectFrom("team_messages")
        .select((select) => select.fn.countAll<number>().as("waiting"))
        .where("team", "=", team)
        .where("recipient", "=", recipient)
        .executeTakeFirstOrThrow();
      if (Number(waiting) >= inboxMax) full.push(recipient);
    }
    if (full.length > 0) return { full };
    if (delivery !== null) {
      await tables
        .insertInto("team_deliveries")
        .values({ ...delivery, sent_at })
        .execute();
    }
    for (const message of messages) {
      await tables
        .insertInto("team_messages")
        .values({ ...message, sent_at })
        .execute();
    }
    crashPoint("team.message-recorded");
    return { full };
  });
}

export interface Receiving {
  readonly team: string;
  readonly recipient: string;
  readonly limit: number;
  /** Leaves them where they are. */
  readonly peek: boolean;
}

/** The oldest first; each message is received once, whoever asks at the same time. */
export async function receiveMessages(
  store: Store,
  { team, recipient, limit, peek }: Receiving,
): Promise<{ readonly messages: readonly TeamMessageRow[]; readonly left: number }> {
  return store.record(async ({ tables }) => {
    const all = await tables
      .selectFrom("team_messages")
      .selectAll()
      .where("team", "=", team)
      .where("recipient", "=", recipient)
      .orderBy("id")
      .execute();
    const messages = all.slice(0, limit);
    const ids = messages.map(({ id }) => id);
    if (!peek && ids.length > 0) {
      await tables.deleteFrom("team_messages").where("id", "in", ids).execute();
    }
    return { messages, left: peek ? all.length : all.length - messages.length };
  });
}

/** How many wait, by recipient. */
export async function countMessages(
  store: Store,
  team: string,
): Promise<ReadonlyMap<string, number>> {
  const rows = await store.tables
    .selectFrom("team_messages")
    .select((select) => ["recipient", select.fn.countAll<number>().as("waiting")])
    .where("team", "=", team)
    .groupBy("recipient")
    .execute();
  return new Map(rows.map(({ recipient, waiting }) => [recipient, Number(waiting)]));
}
