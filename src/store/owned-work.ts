import type { Selectable } from "kysely";
import type { Store } from "./store.ts";
import type { TeamsTable } from "./tables.ts";

type OwnedTable = "swarms" | "teams";

/** Everybody, as they are recorded, who asked for a swarm or a team. */
export async function ownersOfWork({ tables }: Store): Promise<readonly string[]> {
  const swarms = await tables.selectFrom("swarms").select("owner").distinct().execute();
  const teams = await tables.selectFrom("teams").select("owner").distinct().execute();
  return [...new Set([...swarms, ...teams].map(({ owner }) => owner))];
}

export interface OwnedSwarm {
  readonly id: string;
  readonly request: string;
  /** Of all tries that it has had so far, each task's last. */
  readonly workers: readonly string[];
}

export async function swarmsOf({ tables }: Store, owner: string): Promise<readonly OwnedSwarm[]> {
  const rows = await tables
    .selectFrom("swarms")
    .select(["id", "request"])
    .where("owner", "=", owner)
    .orderBy("id")
    .execute();
  const swarms: OwnedSwarm[] = [];
  for (const row of rows) {
    const tasks = await tables
      .selectFrom("swarm_tasks")
      .select("worker")
      .where("swarm_id", "=", row.id)
      .execute();
    swarms.push({ ...row, workers: tasks.flatMap(({ worker }) => worker ?? []) });
  }
  return swarms;
}

export async function teamsOf(
  { tables }: Store,
  owner: string,
): Promise<readonly Pick<Selectable<TeamsTable>, "name" | "spec">[]> {
  return tables
    .selectFrom("teams")
    .select(["name", "spec"])
    .where("owner", "=", owner)
    .orderBy("name")
    .execute();
}

/** Gives one to somebody else, unless it has changed hands meanwhile: answers whether it has not. */
export async function changeOwner(
  store: Store,
  what: { readonly table: OwnedTable; readonly id: string },
  { from, to }: { readonly from: string; readonly to: string },
): Promise<boolean> {
  return store.record(async ({ tables }) => {
    const { numUpdatedRows } =
      what.table === "swarms"
        ? await tables
            .updateTable("swarms")
            .set({ owner: to })
            .where("id", "=", what.id)
            .where("owner", "=", from)
            .executeTakeFirstOrThrow()
        : await tables
            .updateTable("teams")
            .set({ owner: to })
            .where("name", "=", what.id)
            .where("owner", "=", from)
            .executeTakeFirstOrThrow();
    return numUpdatedRows > 0n;
  });
}
