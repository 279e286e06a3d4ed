import { sql, type Kysely } from "kysely";

/** Swarms and their tasks: what was asked for, how far each came, and where its work is. */
export async function up(database: Kysely<unknown>): Promise<void> {
  const schema = database.schema;
  await schema
    .createTable("swarms")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("state", "text", (column) =>
      column.notNull().check(sql`state in ('running', 'complete', 'failed', 'cancelled')`),
    )
    .addColumn("owner", "text", (column) => column.notNull())
    .addColumn("request", "text", (column) => column.notNull())
    .addColumn("cancel_requested", "integer", (column) => column.notNull().defaultTo(0))
    .addColumn("merge_intent", "text")
    .addColumn("merge", "text")
    .addColumn("message", "text")
    .addColumn("started_at", "text", (column) => column.notNull())
    .addColumn("ended_at", "text")
    .execute();
  await schema
    .createTable("swarm_tasks")
    .addColumn("swarm_id", "text", (column) => column.notNull().references("swarms.id"))
    .addColumn("ordinal", "integer", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("state", "text", (column) =>
      column
        .notNull()
        .check(sql`state in ('pending', 'running', 'succeeded', 'failed', 'cancelled')`),
    )
    .addColumn("attempt", "integer", (column) => column.notNull().defaultTo(0))
    .addColumn("worker", "text")
    .addColumn("worker_state", "text", (column) =>
      column
        .notNull()
        .defaultTo("none")
        .check(sql`worker_state in ('none', 'made', 'kept', 'destroyed')`),
    )
    .addColumn("base", "text")
    .addColumn("work", "text", (column) =>
      column
        .notNull()
        .defaultTo("open")
        .check(sql`work in ('open', 'merged', 'unmerged')`),
    )
    .addColumn("rescued", "text")
    .addColumn("outcome", "text")
    .addColumn("error", "text")
    .addPrimaryKeyConstraint("swarm_tasks_key", ["swarm_id", "ordinal"])
    .execute();
}
