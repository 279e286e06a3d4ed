import { Kysely, type Transaction } from "kysely";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  EVENT_PAYLOADS,
  EVENT_VERSION,
  type NewEvent,
  type RecordedEvent,
} from "../domain/event.ts";
import { Refusal } from "../domain/failure.ts";
import { timestamp, type Clock } from "../lib/clock.ts";
import { migrate } from "./migrate.ts";
import { openSqlite } from "./sqlite-dialect.ts";
import type { Tables } from "./tables.ts";

export type Database = Kysely<Tables>;

/** A transaction that changes rows and appends the events that tell of it, both or neither. */
export interface Change {
  readonly tables: Transaction<Tables>;
  readonly now: string;
  /** For text of agents and their programs that goes into a row: events are redacted by themselves. */
  readonly redact: (text: string) => string;
  event(runId: string, event: NewEvent): Promise<void>;
}

export type EventListener = (events: readonly RecordedEvent[]) => void;

/** The one database. Everything that changes goes through `record`. */
export interface Store {
  /** For reading. */
  readonly tables: Database;
  readonly clock: Clock;
  record<T>(work: (change: Change) => Promise<T>): Promise<T>;
  /** Told of events after their commit, in order. A listener must not throw. */
  subscribe(listener: EventListener): () => void;
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly home: string;
  readonly clock: Clock;
  /** Takes known secrets out of whatever is about to be stored. */
  readonly redact: (text: string) => string;
}

/** Opens `$MYCELIUM_HOME/mycelium.db`, makes it where it is missing, and migrates it. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { clock } = options;
  return translated(clock, async () => {
    mkdirSync(options.home, { recursive: true, mode: 0o700 });
    const { dialect } = openSqlite(join(options.home, "mycelium.db"));
    const tables = new Kysely<Tables>({ dialect });
    try {
      await migrate(tables, clock);
    } catch (error) {
      await tables.destroy();
      throw error;
    }
    return makeStore(tables, options);
  });
}

function makeStore(tables: Database, options: StoreOptions): Store {
  const listeners = new Set<EventListener>();
  return {
    tables,
    clock: options.clock,
    record: async (work) => {
      const recorded: RecordedEvent[] = [];
      const result = await translated(options.clock, () =>
        tables.transaction().execute((transaction) => {
          recorded.length = 0;
          const now = timestamp(options.clock);
          return work({
            tables: transaction,
            now,
            redact: options.redact,
            event: async (runId, event) => {
              recorded.push(await insertEvent({ transaction, runId, event, now, ...options }));
            },
          });
        }),
      );
      if (recorded.length > 0) for (const listener of listeners) listener(recorded);
      return result;
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => tables.destroy(),
  };
}

interface EventInsertion {
  readonly transaction: Transaction<Tables>;
  readonly runId: string;
  readonly event: NewEvent;
  readonly now: string;
  readonly redact: (text: string) => string;
}

async function insertEvent(insertion: EventInsertion): Promise<RecordedEvent> {
  const { transaction, runId, event, now, redact } = insertion;
  EVENT_PAYLOADS[event.type].parse(event.payload);
  const payload = redactStrings(event.payload, redact) as Record<string, unknown>;
  const row = {
    run_id: runId,
    task_id: event.task_id ?? null,
    attempt: event.attempt ?? null,
    workspace_id: event.workspace_id ?? null,
    ticket_id: event.ticket_id ?? null,
    type: event.type,
    ts: now,
    v: EVENT_VERSION,
    payload: JSON.stringify(payload),
  };
  const { seq } = await transaction
    .insertInto("events")
    .values(row)
    .returning("seq")
    .executeTakeFirstOrThrow();
  const { task_id, attempt, workspace_id, ticket_id } = event;
  const subject = Object.fromEntries(
    Object.entries({ task_id, attempt, workspace_id, ticket_id }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  return { v: EVENT_VERSION, seq, ts: now, type: event.type, run_id: runId, ...subject, payload };
}

function redactStrings(value: unknown, redact: (text: string) => string): unknown {
  if (typeof value === "string") return redact(value);
  if (Array.isArray(value)) return value.map((item) => redactStrings(item, redact));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, redactStrings(item, redact)]),
  );
}

/** SQLite result codes, see https://www.sqlite.org/rescode.html. */
const SQLITE_BUSY = 5;
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;

/** How long another process's transactions are waited for. Theirs take milliseconds. */
const BUSY_WAIT_MS = 30_000;
const BUSY_PAUSE_MS = 20;

/** Does work again while another process has the database; nothing of it has happened then. */
async function translated<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  const startedMs = clock.monotonic();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const waitedMs = clock.monotonic() - startedMs;
      if (resultCode(error) !== SQLITE_BUSY || waitedMs > BUSY_WAIT_MS) throw translate(error);
      await clock.sleep(BUSY_PAUSE_MS);
    }
  }
}

function resultCode(error: unknown): number | null {
  if (!(error instanceof Error) || !("errcode" in error)) return null;
  return typeof error.errcode === "number" ? error.errcode & 0xff : null;
}

function translate(error: unknown): unknown {
  if (error instanceof Refusal || !(error instanceof Error)) return error;
  const code = resultCode(error);
  const noSpace = "code" in error && error.code === "ENOSPC";
  if (code === SQLITE_FULL || code === SQLITE_IOERR || noSpace) {
    return new Refusal("disk-full", `the database could not be written: ${error.message}`, {
      hint: "free some space where MYCELIUM_HOME lies, then `mycelium resume`",
      cause: error,
    });
  }
  if (code === null) return error;
  return new Refusal("database-failed", `the database refused: ${error.message}`, { cause: error });
}
