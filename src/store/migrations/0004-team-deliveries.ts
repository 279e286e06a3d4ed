import type { Kysely } from "kysely";

/** Which messages a member has sent under an id of its own, so that none is sent twice. */
export async function up(database: Kysely<unknown>): Promise<void> {
  await database.schema
    .createTable("team_deliveries")
    .addColumn("team", "text", (column) => column.notNull().references("teams.name"))
    .addColumn("sender", "text", (column) => column.notNull())
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn("sent_at", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("team_deliveries_once", ["team", "sender", "key"])
    .execute();
}
