import { z } from "zod";
import { EVENT_TYPES, type RecordedEvent } from "../domain/event.ts";
import { requireRun, type RunQuery } from "../store/find-run.ts";
import { readEvents } from "../store/events.ts";
import type { Store } from "../store/store.ts";
import { describeEvent } from "../domain/describe-event.ts";

export interface TimelineQuery extends RunQuery {
  readonly taskId?: string | undefined;
}

const entrySchema = z.strictObject({
  seq: z.number().int(),
  ts: z.string(),
  /** Since the run started. */
  at_ms: z.number().int(),
  type: z.enum(EVENT_TYPES as [string, ...string[]]),
  task_id: z.string().nullable(),
  attempt: z.number().int().nullable(),
  /** How long what ended here took; `null` for what has no length. */
  duration_ms: z.number().int().nullable(),
  text: z.string(),
});

export type TimelineEntry = z.infer<typeof entrySchema>;

export const timelineSchema = z.strictObject({
  run_id: z.string(),
  started_at: z.string(),
  entries: z.array(entrySchema),
});

export type Timeline = z.infer<typeof timelineSchema>;

/** What happened, one line for each event that matters, with times since the start. */
export async function readTimeline(store: Store, query: TimelineQuery): Promise<Timeline> {
  const run = await requireRun(store, query);
  const events = await readEvents(store.tables, {
    runId: run.id,
    taskId: query.taskId,
    types: EVENT_TYPES.filter((type) => !NOISE.has(type)),
  });
  const startMs = Date.parse(run.started_at);
  const durationOf = makeStopwatch();
  const entries = events.flatMap((event): TimelineEntry[] => {
    const duration_ms = durationOf(event);
    const text = describeEvent(event);
    if (text === null) return [];
    const { seq, ts, type } = event;
    const subject = { task_id: event.task_id ?? null, attempt: event.attempt ?? null };
    const at_ms = Math.max(0, Date.parse(ts) - startMs);
    return [{ seq, ts, at_ms, type, ...subject, duration_ms, text }];
  });
  return { run_id: run.id, started_at: run.started_at, entries };
}

/** Most of a run's events, and none of its story. */
const NOISE: ReadonlySet<string> = new Set(["agent.text", "agent.tool", "turn.completed"]);

/** Times what begins with one event and ends with another. */
function makeStopwatch(): (event: RecordedEvent) => number | null {
  const starts = new Map<string, number>();
  return (event) => {
    const nowMs = Date.parse(event.ts);
    const begun = STARTS[event.type];
    const key = `${event.task_id ?? ""} ${begun ?? ENDS[event.type] ?? ""}`;
    if (begun !== undefined) {
      if (!starts.has(key)) starts.set(key, nowMs);
      return null;
    }
    const { duration_ms } = event.payload;
    if (typeof duration_ms === "number") return duration_ms;
    const startMs = ENDS[event.type] === undefined ? undefined : starts.get(key);
    if (startMs === undefined) return null;
    starts.delete(key);
    return nowMs - startMs;
  };
}

const STARTS: Readonly<Record<string, string>> = {
  "run.started": "run",
  "run.resumed": "run",
  "task.started": "task",
  "landing.proposed": "landing",
};

const ENDS: Readonly<Record<string, string>> = {
  "run.paused": "run",
  "run.failed": "run",
  "run.completed": "run",
  "task.completed": "task",
  "task.failed": "task",
  "landing.landed": "landing",
  "landing.rejected": "landing",
};
