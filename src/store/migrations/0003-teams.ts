import { sql, type Kysely } from "kysely";
import { growingKey } from "../growing-key.ts";

/** Teams and what their members have written to each other and not received yet. */
export async function up(database: Kysely<unknown>): Promise<void> {
  const schema = database.schema;
  await schema
    .createTable("teams")
    .addColumn("name", "text", (column) => column.primaryKey())
    .addColumn("state", "text", (column) =>
      column.notNull().check(sql`state in ('making', 'ready', 'removing')`),
    )
    .addColumn("owner", "text", (column) => column.notNull())
    .addColumn("parent", "text", (column) => column.references("teams.name"))
    .addColumn("spec", "text", (column) => column.notNull())
    .addColumn("created_at", "text", (column) => column.notNull())
    .execute();
  await growingKey(schema.createTable("team_messages"), database, "id")
    .addColumn("team", "text", (column) => column.notNull().references("teams.name"))
    .addColumn("sender", "text", (column) => column.notNull())
    .addColumn("recipient", "text", (column) => column.notNull())
    .addColumn("type", "text", (column) => column.notNull())
    .addColumn("content", "text", (column) => column.notNull())
    .addColumn("sent_at", "text", (column) => column.notNull())
    .execute();
  await schema
    .createIndex("team_messages_of_recipient")
    .on("team_messages")
    .columns(["team", "recipient", "id"])
    .execute();
}
