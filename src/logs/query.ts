import { z } from "zod";
import { eventSchema } from "../domain/event.ts";
import { requireRun, type RunQuery } from "../store/find-run.ts";
import { readEvents } from "../store/events.ts";
import type { Store } from "../store/store.ts";
import { matchTypes } from "./event-types.ts";
import { parseMoment } from "./moment.ts";

export interface LogQuery extends RunQuery {
  readonly taskId?: string | undefined;
  /** A glob over event types. */
  readonly type?: string | undefined;
  /** RFC 3339, or a time ago such as `10m`. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly limit: number;
}

export const logEventsSchema = z.strictObject({
  run_id: z.string(),
  events: z.array(eventSchema),
  /** True where older events match too, and were left out. */
  has_older: z.boolean(),
});

/** The newest events of a run that match, in the order in which they happened. */
export async function queryLogs(
  store: Store,
  query: LogQuery,
): Promise<z.infer<typeof logEventsSchema>> {
  const run = await requireRun(store, query);
  const moment = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : parseMoment(text, store.clock.now());
  const events = await readEvents(store.tables, {
    runId: run.id,
    taskId: query.taskId,
    types: query.type === undefined ? undefined : matchTypes(query.type),
    since: moment(query.since),
    until: moment(query.until),
    last: query.limit + 1,
  });
  return {
    run_id: run.id,
    events: events.slice(-query.limit),
    has_older: events.length > query.limit,
  };
}
