import type { Selectable } from "kysely";
import {
  parseEvent,
  type EventPayload,
  type EventType,
  type RecordedEvent,
} from "../domain/event.ts";
import type { Database } from "./store.ts";
import type { EventsTable } from "./tables.ts";

export interface EventQuery {
  readonly runId: string;
  readonly taskId?: string | undefined;
  readonly types?: readonly EventType[] | undefined;
  /** RFC 3339 in UTC with milliseconds, both inclusive. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  /** Only events with a greater sequence number. */
  readonly after?: number;
  /** The first so many that match. */
  readonly limit?: number;
  /** The last so many that match, instead of `limit`. */
  readonly last?: number | undefined;
}

/** Events in the order in which they happened, parsed: a row that makes no sense is an error. */
export async function readEvents(
  tables: Database,
  query: EventQuery,
): Promise<readonly RecordedEvent[]> {
  const { runId, taskId, types, since, until, limit } = query;
  let rows = tables
    .selectFrom("events")
    .selectAll()
    .where("run_id", "=", runId)
    .where("seq", ">", query.after ?? 0);
  if (taskId !== undefined) rows = rows.where("task_id", "=", taskId);
  if (types !== undefined) rows = rows.where("type", "in", types);
  if (since !== undefined) rows = rows.where("ts", ">=", since);
  if (until !== undefined) rows = rows.where("ts", "<=", until);
  if (query.last !== undefined) {
    const newestFirst = await rows.orderBy("seq", "desc").limit(query.last).execute();
    return newestFirst.toReversed().map(fromRow);
  }
  if (limit !== undefined) rows = rows.limit(limit);
  return (await rows.orderBy("seq").execute()).map(fromRow);
}

/** An event whose type says what its payload holds. */
export type TypedEvent<T extends EventType> = {
  [K in T]: Omit<RecordedEvent, "type" | "payload"> & {
    readonly type: K;
    readonly payload: EventPayload<K>;
  };
}[T];

/** Events of some types, with the payloads of those types. */
export async function readEventsOfTypes<T extends EventType>(
  tables: Database,
  query: Omit<EventQuery, "types"> & { readonly types: readonly T[] },
): Promise<readonly TypedEvent<T>[]> {
  // Reading has parsed each payload by its type.
  return (await readEvents(tables, query)) as unknown as readonly TypedEvent<T>[];
}

function fromRow(row: Selectable<EventsTable>): RecordedEvent {
  const { task_id, attempt, workspace_id, ticket_id } = row;
  return parseEvent({
    v: row.v,
    seq: row.seq,
    ts: row.ts,
    type: row.type,
    run_id: row.run_id,
    ...(task_id !== null && { task_id }),
    ...(attempt !== null && { attempt }),
    ...(workspace_id !== null && { workspace_id }),
    ...(ticket_id !== null && { ticket_id }),
    payload: JSON.parse(row.payload) as unknown,
  });
}
