import { z } from "zod";
import { eventSchema, type RecordedEvent } from "../domain/event.ts";
import { requireRun, type RunQuery } from "../store/find-run.ts";
import { readEvents } from "../store/events.ts";
import type { Store } from "../store/store.ts";

export interface LogSearch extends RunQuery {
  readonly taskId?: string | undefined;
  readonly text: string;
  readonly limit: number;
}

const matchSchema = z.strictObject({
  event: eventSchema,
  /** Where in the payload it was found, such as `output_tail`. */
  field: z.string(),
  /** The line that holds it, cut where it is long. */
  excerpt: z.string(),
});

export const logMatchesSchema = z.strictObject({
  run_id: z.string(),
  matches: z.array(matchSchema),
  /** True where the search ended at its limit. */
  has_more: z.boolean(),
});

type LogMatches = z.infer<typeof logMatchesSchema>;

/** Events that are in memory at once. */
const BATCH_EVENTS_MAX = 1_000;

/** Text shown on either side of a find. */
const EXCERPT_SIDE_MAX = 120;

/** Finds a text in the payloads of a run's events, whatever its case; one match an event. */
export async function searchLogs(store: Store, search: LogSearch): Promise<LogMatches> {
  const run = await requireRun(store, search);
  const needle = search.text.toLowerCase();
  const matches: LogMatches["matches"] = [];
  let after = 0;
  for (;;) {
    const events = await readEvents(store.tables, {
      runId: run.id,
      taskId: search.taskId,
      after,
      limit: BATCH_EVENTS_MAX,
    });
    for (const event of events) {
      const found = findIn(event, needle);
      if (found === null) continue;
      if (matches.length === search.limit) return { run_id: run.id, matches, has_more: true };
      matches.push({ event, ...found });
    }
    after = events.at(-1)?.seq ?? after;
    if (events.length < BATCH_EVENTS_MAX) return { run_id: run.id, matches, has_more: false };
  }
}

function findIn(event: RecordedEvent, needle: string): { field: string; excerpt: string } | null {
  for (const [field, text] of textsOf(event.payload)) {
    // Lower case can be longer than the text; a find beyond its end is shown from the end.
    const at = text.toLowerCase().indexOf(needle);
    if (at !== -1) return { field, excerpt: excerptAt(text, at, needle.length) };
  }
  return null;
}

function* textsOf(value: unknown, field = ""): Generator<readonly [string, string]> {
  if (typeof value === "string") yield [field, value];
  if (value === null || typeof value !== "object") return;
  for (const [key, item] of Object.entries(value)) {
    yield* textsOf(item, field === "" ? key : `${field}.${key}`);
  }
}

function excerptAt(text: string, at: number, length: number): string {
  const lineStart = text.lastIndexOf("\n", at - 1) + 1;
  const lineEnd = text.indexOf("\n", at + length);
  const start = Math.max(lineStart, at - EXCERPT_SIDE_MAX);
  const end = Math.min(lineEnd === -1 ? text.length : lineEnd, at + length + EXCERPT_SIDE_MAX);
  const cutBefore = start > lineStart ? "…" : "";
  const cutAfter = end < (lineEnd === -1 ? text.length : lineEnd) ? "…" : "";
  return cutBefore + text.slice(start, end) + cutAfter;
}
