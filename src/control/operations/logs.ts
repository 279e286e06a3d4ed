import { z } from "zod";
import { taskIdSchema } from "../../domain/task.ts";
import { listFailures, logFailuresSchema } from "../../logs/failures.ts";
import { logEventsSchema, queryLogs } from "../../logs/query.ts";
import { logMatchesSchema, searchLogs } from "../../logs/search.ts";
import { logSummarySchema, summarizeRun } from "../../logs/summarize.ts";
import { readTimeline, timelineSchema } from "../../logs/timeline.ts";
import type { Store } from "../../store/store.ts";
import type { RunQuery } from "../../store/find-run.ts";
import { defineOperation, type OperationContext } from "../operation.ts";
import { refuseAbsent, runAtHand } from "../run-at-hand.ts";
import { withStoreIfAny } from "../with-store.ts";

export type { LoggedFailure } from "../../logs/failures.ts";
export type { LogSummary } from "../../logs/summarize.ts";
export type { Timeline, TimelineEntry } from "../../logs/timeline.ts";
export type LogEvents = z.infer<typeof logEventsSchema>;
export type LogMatches = z.infer<typeof logMatchesSchema>;
export type LogFailures = z.infer<typeof logFailuresSchema>;

/** The newest run of this repository where it is left out. */
const run_id = z.string().optional();
const task = taskIdSchema.optional();
const limit = z.int().min(1).max(100_000);

export const queryLog = defineOperation({
  name: "logs.query",
  summary: "Show events by run, task, type and time",
  input: z.strictObject({
    run_id,
    task,
    /** A glob over event types, such as `budget.*`. */
    type: z.string().min(1).max(200).optional(),
    /** RFC 3339, or a time ago such as `10m`. */
    since: z.string().optional(),
    until: z.string().optional(),
    limit: limit.default(200),
  }),
  output: logEventsSchema,
  run: (context, { run_id: runId, task: taskId, ...conditions }) =>
    reading(context, runId, (store, query) =>
      queryLogs(store, { ...query, ...conditions, taskId }),
    ),
});

export const searchLog = defineOperation({
  name: "logs.search",
  summary: "Find a text in what agents, gates and landings said",
  input: z.strictObject({
    run_id,
    task,
    text: z.string().min(1).max(1_000),
    limit: limit.default(50),
  }),
  output: logMatchesSchema,
  run: (context, { run_id: runId, task: taskId, ...search }) =>
    reading(context, runId, (store, query) => searchLogs(store, { ...query, ...search, taskId })),
});

export const timeline = defineOperation({
  name: "logs.timeline",
  summary: "Tell what happened when, a line for each event that matters",
  input: z.strictObject({ run_id, task }),
  output: timelineSchema,
  run: (context, { run_id: runId, task: taskId }) =>
    reading(context, runId, (store, query) => readTimeline(store, { ...query, taskId })),
});

export const failures = defineOperation({
  name: "logs.failures",
  summary: "List everything that did not go well, with reasons and output",
  input: z.strictObject({ run_id, task }),
  output: logFailuresSchema,
  run: (context, { run_id: runId, task: taskId }) =>
    reading(context, runId, (store, query) => listFailures(store, { ...query, taskId })),
});

export const summarize = defineOperation({
  name: "logs.summarize",
  summary: "Tell in words what a run did and why, from its events alone",
  input: z.strictObject({ run_id }),
  output: logSummarySchema,
  run: (context, { run_id: runId }) => reading(context, runId, summarizeRun),
});

function reading<T>(
  context: OperationContext,
  runId: string | undefined,
  read: (store: Store, query: RunQuery) => Promise<T>,
): Promise<T> {
  return withStoreIfAny(context, refuseAbsent(runId), (store) =>
    read(store, runAtHand(context, runId)),
  );
}
