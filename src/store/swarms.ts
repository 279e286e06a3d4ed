import type { Insertable, Selectable, Updateable } from "kysely";
import type { Store } from "./store.ts";
import type { SwarmsTable, SwarmTasksTable } from "./tables.ts";

export type SwarmRow = Selectable<SwarmsTable>;
export type SwarmTaskRow = Selectable<SwarmTasksTable>;

export interface NewSwarm {
  readonly swarm: Pick<Insertable<SwarmsTable>, "id" | "owner" | "request">;
  readonly taskNames: readonly string[];
}

export async function insertSwarm(store: Store, { swarm, taskNames }: NewSwarm): Promise<void> {
  await store.record(async ({ tables, now: started_at }) => {
    const row = { ...swarm, state: "running" as const, started_at };
    await tables.insertInto("swarms").values(row).execute();
    const tasks = taskNames.map((name, ordinal) => ({
      swarm_id: swarm.id,
      ordinal,
      name,
      state: "pending" as const,
    }));
    await tables.insertInto("swarm_tasks").values(tasks).execute();
  });
}

export async function findSwarm(store: Store, id: string): Promise<SwarmRow | undefined> {
  return store.tables.selectFrom("swarms").selectAll().where("id", "=", id).executeTakeFirst();
}

/** Newest first. */
export async function listSwarms(store: Store, limit: number): Promise<readonly SwarmRow[]> {
  return store.tables
    .selectFrom("swarms")
    .selectAll()
    .orderBy("started_at", "desc")
    .orderBy("id", "desc")
    .limit(limit)
    .execute();
}

/** In the order that they were given in. */
export async function swarmTasks(store: Store, id: string): Promise<readonly SwarmTaskRow[]> {
  return store.tables
    .selectFrom("swarm_tasks")
    .selectAll()
    .where("swarm_id", "=", id)
    .orderBy("ordinal")
    .execute();
}

export async function updateSwarm(
  store: Store,
  id: string,
  values: Omit<Updateable<SwarmsTable>, "id">,
): Promise<void> {
  await store.record(async ({ tables }) => {
    await tables.updateTable("swarms").set(values).where("id", "=", id).execute();
  });
}

export interface SwarmTaskChange {
  readonly ordinal: number;
  readonly values: Omit<Updateable<SwarmTasksTable>, "swarm_id" | "ordinal" | "name">;
}

/** All of them or none, together with the swarm's own. */
export async function updateSwarmTasks(
  store: Store,
  id: string,
  changes: readonly SwarmTaskChange[],
  swarm: Omit<Updateable<SwarmsTable>, "id"> = {},
): Promise<void> {
  await store.record(async ({ tables }) => {
    for (const { ordinal, values } of changes) {
      await tables
        .updateTable("swarm_tasks")
        .set(values)
        .where("swarm_id", "=", id)
        .where("ordinal", "=", ordinal)
        .execute();
    }
    if (Object.keys(swarm).length > 0) {
      await tables.updateTable("swarms").set(swarm).where("id", "=", id).execute();
    }
  });
}
