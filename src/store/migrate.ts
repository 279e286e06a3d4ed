import type { Kysely } from "kysely";
import { Refusal } from "../domain/failure.ts";
import type { Clock } from "../lib/clock.ts";
import { timestamp } from "../lib/clock.ts";
import * as runs from "./migrations/0001-runs.ts";
import * as swarms from "./migrations/0002-swarms.ts";
import * as teams from "./migrations/0003-teams.ts";
import * as teamDeliveries from "./migrations/0004-team-deliveries.ts";
import type { Tables } from "./tables.ts";

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly up: (database: Kysely<unknown>) => Promise<void>;
}

/** In order, without gaps. A released migration never changes; a new one is added instead. */
export const MIGRATIONS: readonly Migration[] = [
  { version: 1, name: "runs", up: runs.up },
  { version: 2, name: "swarms", up: swarms.up },
  { version: 3, name: "teams", up: teams.up },
  { version: 4, name: "team-deliveries", up: teamDeliveries.up },
];

/**
 * Brings a database up to this program's version, each migration in a transaction of its own.
 * Refuses one that a newer program has changed: it might mean what this one does not know.
 */
export async function migrate(
  database: Kysely<Tables>,
  clock: Clock,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  await database.schema
    .createTable("schema_migrations")
    .ifNotExists()
    .addColumn("version", "integer", (column) => column.primaryKey())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("applied_at", "text", (column) => column.notNull())
    .execute();
  const newest = migrations.at(-1)?.version ?? 0;
  const version = await versionOf(database);
  if (version === newest) return;
  if (version > newest) {
    throw new Refusal(
      "database-newer",
      `the database is of version ${version}; this program knows versions up to ${newest}`,
      { hint: "use the newer mycelium that wrote it, or another MYCELIUM_HOME" },
    );
  }
  for (const migration of migrations) await apply(database, migration, clock);
}

async function versionOf(database: Kysely<Tables>): Promise<number> {
  const row = await database
    .selectFrom("schema_migrations")
    .select((select) => select.fn.max("version").as("version"))
    .executeTakeFirst();
  return row?.version ?? 0;
}

/** Two programs may start at once: the version is read again inside the transaction. */
async function apply(database: Kysely<Tables>, migration: Migration, clock: Clock): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    const row = { version: migration.version, name: migration.name, applied_at: timestamp(clock) };
    if ((await versionOf(transaction)) >= migration.version) return;
    await transaction.insertInto("schema_migrations").values(row).execute();
    await migration.up(transaction as unknown as Kysely<unknown>);
  });
}
