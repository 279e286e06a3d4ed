import { z } from "zod";
import { EVENT_TYPES, type RecordedEvent } from "../domain/event.ts";
import { requireRun, type RunQuery } from "../store/find-run.ts";
import { readEvents, type TypedEvent } from "../store/events.ts";
import type { Store } from "../store/store.ts";
import {
  isStoryEvent,
  newTaskStory,
  spendText,
  storyText,
  tellEvent,
  type TaskStory,
} from "./task-story.ts";
import { countText, durationText, firstLine } from "../domain/words.ts";
import { describeEvent } from "../domain/describe-event.ts";

export const logSummarySchema = z.strictObject({
  run_id: z.string(),
  /** How the run went, in a sentence or two. */
  headline: z.string(),
  tasks: z.array(z.strictObject({ id: z.string(), text: z.string() })),
  landings: z.array(z.string()),
  spend: z.string(),
  slowest: z.array(z.strictObject({ what: z.string(), duration_ms: z.number().int() })),
});

export type LogSummary = z.infer<typeof logSummarySchema>;

/** What a run did and why, told from its events alone: no model is asked. */
export async function summarizeRun(store: Store, query: RunQuery): Promise<LogSummary> {
  const run = await requireRun(store, query);
  const types = EVENT_TYPES.filter((type) => type !== "agent.text" && type !== "agent.tool");
  const events = await readEvents(store.tables, { runId: run.id, types });
  return { run_id: run.id, ...summarizeEvents(events) };
}

/** As `summarizeRun`, of events from wherever they were read. */
export function summarizeEvents(events: readonly RecordedEvent[]): Omit<LogSummary, "run_id"> {
  const stories = tellStories(events);
  return {
    headline: headlineOf(events, stories),
    tasks: stories.map((story) => ({ id: story.id, text: storyText(story) })),
    landings: events.filter(isLanding).map((event) => describeEvent(event) ?? ""),
    spend: spendOf(stories),
    slowest: findSlowest(events),
  };
}

/** Every task of the run, in the plan's order, then those that only its events name. */
function tellStories(events: readonly RecordedEvent[]): readonly TaskStory[] {
  const stories = new Map<string, TaskStory>();
  for (const event of events) {
    if (isOfType(event, "run.started")) {
      for (const id of event.payload.tasks) stories.set(id, newTaskStory(id));
    }
    if (event.task_id === undefined || !isStoryEvent(event)) continue;
    const story = stories.get(event.task_id) ?? newTaskStory(event.task_id);
    stories.set(event.task_id, story);
    tellEvent(story, event);
  }
  return [...stories.values()];
}

function headlineOf(events: readonly RecordedEvent[], stories: readonly TaskStory[]): string {
  const first = events[0];
  const last = events.at(-1);
  if (first === undefined || last === undefined) return "Nothing has happened yet.";
  const landed = stories.filter(({ ending }) => ending.startsWith("landed")).length;
  const took = durationText(Date.parse(last.ts) - Date.parse(first.ts));
  const resumed = events.filter((event) => event.type === "run.resumed").length;
  const again = resumed === 0 ? "" : `, resumed ${countText(resumed, "time")}`;
  const result = `${landed} of ${countText(stories.length, "task")} landed in ${took}${again}`;
  return `${endOf(events)}; ${result}.`;
}

/** What the last of the run's own events says. */
function endOf(events: readonly RecordedEvent[]): string {
  const stop = events.findLast((event) => event.type.startsWith("run."));
  if (stop !== undefined && (isOfType(stop, "run.paused") || isOfType(stop, "run.failed"))) {
    const { reason, message } = stop.payload;
    const word = stop.type === "run.paused" ? "was paused" : "failed";
    return `The run ${word} (${reason}): ${firstLine(message).replace(/\.$/, "")}`;
  }
  return stop?.type === "run.completed" ? "The run is complete" : "The run has not ended";
}

function isLanding({ type }: RecordedEvent): boolean {
  return type.startsWith("landing.") && type !== "landing.proposed";
}

function spendOf(stories: readonly TaskStory[]): string {
  const telling = stories.filter(({ reports }) => reports > 0);
  const silent = stories.filter(({ reports, attempts }) => reports === 0 && attempts.length > 0);
  if (telling.length === 0) {
    return silent.length === 0 ? "nothing" : "unknown: no agent told what it used";
  }
  const tokens = telling.reduce((sum, story) => sum + story.tokens, 0);
  const cost = telling.reduce<number | null>(
    (sum, { costUsd }) => (sum === null || costUsd === null ? null : sum + costUsd),
    0,
  );
  const known = spendText(tokens, cost);
  return silent.length === 0
    ? known
    : `at least ${known}; ${countText(silent.length, "task")} unknown`;
}

/** How many of the slowest things are named. */
const SLOWEST_MAX = 5;

function findSlowest(events: readonly RecordedEvent[]): LogSummary["slowest"] {
  return events
    .flatMap((event) => {
      const subject = event.task_id === undefined ? "landing" : `task ${event.task_id}`;
      if (isOfType(event, "gate.decided")) {
        const { gate, duration_ms } = event.payload;
        return [{ what: `${gate} of ${subject}`, duration_ms }];
      }
      if (isOfType(event, "attempt.ended")) {
        const { duration_ms } = event.payload;
        return [{ what: `attempt ${event.attempt ?? "?"} of ${subject}`, duration_ms }];
      }
      return [];
    })
    .toSorted((left, right) => right.duration_ms - left.duration_ms)
    .slice(0, SLOWEST_MAX);
}

function isOfType<T extends RecordedEvent["type"]>(
  event: RecordedEvent,
  type: T,
): event is RecordedEvent & TypedEvent<T> {
  return event.type === type;
}
