import { SqliteAdapter, type CreateTableBuilder, type Kysely } from "kysely";

/**
 * A primary key that the database hands out, growing and never reused after a delete. The one place
 * where the two databases need different words.
 */
export function growingKey<T extends string, C extends string>(
  table: CreateTableBuilder<T, C>,
  database: Kysely<unknown>,
  name: string,
): CreateTableBuilder<T, C> {
  const sqlite = database.getExecutor().adapter instanceof SqliteAdapter;
  return sqlite
    ? table.addColumn(name as C, "integer", (column) => column.primaryKey().autoIncrement())
    : table.addColumn(name as C, "bigint", (column) =>
        column.primaryKey().generatedByDefaultAsIdentity(),
      );
}
