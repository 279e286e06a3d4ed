import { DatabaseSync, type StatementSync, type SQLInputValue } from "node:sqlite";
import { SqliteDialect, type SqliteStatement } from "kysely";

/**
 * How long a statement waits for another process's transaction, blocking this whole process. Short:
 * the store waits on without blocking.
 */
const BUSY_TIMEOUT_MS = 50;

/** Statements kept compiled. Queries are few and fixed, so this is never reached in practice. */
const PREPARED_MAX = 500;

/** `node:sqlite` in the shape that Kysely's SQLite dialect expects, with compiled statements kept. */
export function openSqlite(path: string): { dialect: SqliteDialect; database: DatabaseSync } {
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
  const prepared = new Map<string, SqliteStatement>();
  const dialect = new SqliteDialect({
    database: {
      close: () => {
        prepared.clear();
        if (database.isOpen) database.close();
      },
      prepare: (sql) => {
        const known = prepared.get(sql);
        if (known !== undefined) return known;
        const statement = prepare(database, sql);
        if (prepared.size < PREPARED_MAX) prepared.set(sql, statement);
        return statement;
      },
    },
  });
  return { dialect, database };
}

function prepare(database: DatabaseSync, sql: string): SqliteStatement {
  // A deferred transaction that turns into a writer fails at once where another one wrote meanwhile,
  // whatever the busy timeout says; taking the write lock at the start waits instead.
  if (sql === "begin") return adapt(database.prepare("begin immediate"));
  const statement = adapt(database.prepare(sql));
  if (sql !== "rollback") return statement;
  // SQLite itself has rolled back after a full disk; a second rollback would hide the reason.
  return {
    ...statement,
    run: (parameters) =>
      database.isTransaction ? statement.run(parameters) : { changes: 0, lastInsertRowid: 0 },
  };
}

function adapt(statement: StatementSync): SqliteStatement {
  const values = (parameters: readonly unknown[]): SQLInputValue[] =>
    parameters as readonly SQLInputValue[] as SQLInputValue[];
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...values(parameters)),
    run: (parameters) => statement.run(...values(parameters)),
    iterate: (parameters) =>
      statement.iterate(...values(parameters)) as IterableIterator<Record<string, unknown>>,
  };
}
