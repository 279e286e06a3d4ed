import { sql, type Kysely } from "kysely";
import { growingKey } from "../growing-key.ts";

/** Runs, their tasks, attempts and landings, the events of all of them, and leases. */
export async function up(database: Kysely<unknown>): Promise<void> {
  const schema = database.schema;
  await schema
    .createTable("runs")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("repository", "text", (column) => column.notNull())
    .addColumn("config_path", "text", (column) => column.notNull())
    .addColumn("branch", "text", (column) => column.notNull())
    .addColumn("base_commit", "text", (column) => column.notNull())
    .addColumn("status", "text", (column) =>
      column.notNull().check(sql`status in ('running', 'paused', 'failed', 'complete')`),
    )
    .addColumn("stop_reason", "text")
    .addColumn("stop_message", "text")
    .addColumn("agent", "text", (column) => column.notNull())
    .addColumn("workspace_kind", "text", (column) => column.notNull())
    .addColumn("max_parallel", "integer", (column) => column.notNull())
    .addColumn("started_at", "text", (column) => column.notNull())
    .addColumn("ended_at", "text")
    .execute();

  await schema
    .createTable("tasks")
    .addColumn("run_id", "text", (column) => column.notNull().references("runs.id"))
    .addColumn("task_id", "text", (column) => column.notNull())
    .addColumn("ordinal", "integer", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("state", "text", (column) =>
      column
        .notNull()
        .check(
          sql`state in ('pending', 'running', 'validated', 'complete', 'failed', 'needs_human_review', 'skipped')`,
        ),
    )
    .addColumn("folder", "text")
    .addColumn("manifest", "text", (column) => column.notNull())
    .addColumn("spec", "text", (column) => column.notNull())
    .addColumn("fingerprint", "text", (column) => column.notNull())
    .addColumn("attempts", "integer", (column) => column.notNull().defaultTo(0))
    .addColumn("tries", "integer", (column) => column.notNull().defaultTo(0))
    .addColumn("feedback", "text")
    .addColumn("continue_token", "integer")
    .addColumn("source_commit", "text")
    .addColumn("source_base", "text")
    .addColumn("landed_commit", "text")
    .addColumn("reason", "text")
    .addColumn("message", "text")
    .addColumn("started_at", "text")
    .addColumn("ended_at", "text")
    .addPrimaryKeyConstraint("tasks_key", ["run_id", "task_id"])
    .execute();

  await growingKey(schema.createTable("attempts"), database, "token")
    .addColumn("run_id", "text", (column) => column.notNull())
    .addColumn("task_id", "text", (column) => column.notNull())
    .addColumn("number", "integer", (column) => column.notNull())
    .addColumn("status", "text", (column) =>
      column
        .notNull()
        .check(sql`status in ('running', 'validated', 'rejected', 'lost', 'interrupted')`),
    )
    .addColumn("reason", "text")
    .addColumn("base_commit", "text", (column) => column.notNull())
    .addColumn("source_commit", "text")
    .addColumn("agent", "text", (column) => column.notNull())
    .addColumn("workspace_id", "text", (column) => column.notNull())
    .addColumn("usage_reported", "integer", (column) => column.notNull().defaultTo(0))
    .addColumn("input_tokens", "integer", (column) => column.notNull().defaultTo(0))
    .addColumn("cached_input_tokens", "integer", (column) => column.notNull().defaultTo(0))
    .addColumn("output_tokens", "integer", (column) => column.notNull().defaultTo(0))
    .addColumn("reasoning_output_tokens", "integer", (column) => column.notNull().defaultTo(0))
    .addColumn("cost_usd", "double precision", (column) => column.defaultTo(0))
    .addColumn("verdicts", "text", (column) => column.notNull().defaultTo("[]"))
    .addColumn("started_at", "text", (column) => column.notNull())
    .addColumn("ended_at", "text")
    .addUniqueConstraint("attempts_number", ["run_id", "task_id", "number"])
    .addForeignKeyConstraint("attempts_task", ["run_id", "task_id"], "tasks", ["run_id", "task_id"])
    .execute();

  await growingKey(schema.createTable("landings"), database, "id")
    .addColumn("run_id", "text", (column) => column.notNull().references("runs.id"))
    .addColumn("status", "text", (column) =>
      column.notNull().check(sql`status in ('intended', 'landed', 'abandoned')`),
    )
    .addColumn("base_commit", "text", (column) => column.notNull())
    .addColumn("tip_commit", "text", (column) => column.notNull())
    .addColumn("created_at", "text", (column) => column.notNull())
    .addColumn("settled_at", "text")
    .execute();

  await schema
    .createTable("landing_commits")
    .addColumn("landing_id", "integer", (column) => column.notNull().references("landings.id"))
    .addColumn("run_id", "text", (column) => column.notNull())
    .addColumn("task_id", "text", (column) => column.notNull())
    .addColumn("token", "integer", (column) => column.notNull())
    .addColumn("commit_id", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("landing_commits_key", ["landing_id", "task_id"])
    .execute();

  await growingKey(schema.createTable("events"), database, "seq")
    .addColumn("run_id", "text", (column) => column.notNull())
    .addColumn("task_id", "text")
    .addColumn("attempt", "integer")
    .addColumn("workspace_id", "text")
    .addColumn("ticket_id", "text")
    .addColumn("type", "text", (column) => column.notNull())
    .addColumn("ts", "text", (column) => column.notNull())
    .addColumn("v", "integer", (column) => column.notNull())
    .addColumn("payload", "text", (column) => column.notNull())
    .execute();
  await schema.createIndex("events_of_run").on("events").columns(["run_id", "seq"]).execute();

  await schema
    .createTable("leases")
    .addColumn("name", "text", (column) => column.primaryKey())
    .addColumn("token", "integer", (column) => column.notNull())
    .addColumn("holder", "text", (column) => column.notNull())
    .addColumn("expires_at", "text", (column) => column.notNull())
    .execute();
}
