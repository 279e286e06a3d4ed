import { z } from "zod";
import { GATE_ANSWERS } from "./gate.ts";
import { usageSchema } from "./usage.ts";

/** Version of the envelope and of all payloads together. It grows when a field changes its meaning. */
export const EVENT_VERSION = 1;

const commit = z.string().regex(/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/);
const text = z.string();
const taskIds = z.array(z.string());

/** One schema a type: everything the log can say. */
export const EVENT_PAYLOADS = {
  "run.started": z.strictObject({
    repository: text,
    branch: text,
    base: commit,
    agent: text,
    workspace: text,
    max_parallel: z.number().int(),
    tasks: taskIds,
  }),
  "run.resumed": z.strictObject({
    previous_status: text,
    tip: commit,
    landed_before: taskIds,
    lost_attempts: taskIds,
    reopened: taskIds,
  }),
  "run.paused": z.strictObject({ reason: text, message: text, hint: text }),
  "run.failed": z.strictObject({ reason: text, message: text, hint: text }),
  "run.completed": z.strictObject({ landed: z.number().int(), tip: commit }),

  "task.started": z.strictObject({ name: text, base: commit }),
  "task.retried": z.strictObject({ reason: text, feedback: text }),
  "task.validated": z.strictObject({ commit: commit, files: z.number().int() }),
  "task.sent_back": z.strictObject({ reason: text, feedback: text }),
  "task.completed": z.strictObject({ commit: commit.nullable() }),
  "task.failed": z.strictObject({ reason: text, message: text }),
  "task.review_requested": z.strictObject({ reason: text, message: text }),
  "task.skipped": z.strictObject({ reason: text, message: text }),
  "task.reopened": z.strictObject({ previous_state: text }),

  "attempt.started": z.strictObject({
    token: z.number().int(),
    base: commit,
    agent: text,
    workspace: text,
    reused: z.boolean(),
  }),
  "attempt.ended": z.strictObject({
    outcome: text,
    reason: text,
    duration_ms: z.number().int(),
    usage: usageSchema.nullable(),
  }),
  "workspace.created": z.strictObject({ kind: text, path: text, base: commit }),
  "workspace.destroyed": z.strictObject({ kind: text }),

  "agent.started": z.strictObject({ agent: text, session: text.nullable() }),
  "agent.text": z.strictObject({ stream: z.enum(["stdout", "stderr"]), text }),
  "agent.tool": z.strictObject({ name: text, summary: text }),
  "agent.quota": z.strictObject({ resets_at: text.nullable(), message: text }),
  "agent.ended": z.strictObject({
    reason: text,
    exit_code: z.number().int().nullable(),
    message: text,
  }),
  "turn.completed": z.strictObject({ usage: usageSchema }),
  "output.truncated": z.strictObject({
    source: text,
    kept_bytes: z.number(),
    dropped_bytes: z.number(),
  }),

  "gate.decided": z.strictObject({
    gate: text,
    answer: z.enum(GATE_ANSWERS),
    reason: text,
    command: text.nullable(),
    exit_code: z.number().int().nullable(),
    duration_ms: z.number().int(),
    log_digest: text.nullable(),
    commit: commit.nullable(),
    output_tail: text,
  }),
  "manifest.violated": z.strictObject({
    enforcement: z.enum(["warn", "block"]),
    violations: z.array(z.strictObject({ kind: text, path: text, resource: text.nullable() })),
  }),
  "manifest.rescoped": z.strictObject({ added_files: z.array(text), added_locks: z.array(text) }),
  "budget.warn": z.strictObject({
    scope: text,
    unit: text,
    limit: z.number(),
    used: z.number().nullable(),
    message: text,
  }),
  "budget.block": z.strictObject({
    scope: text,
    unit: text,
    limit: z.number(),
    used: z.number().nullable(),
    message: text,
  }),

  "landing.proposed": z.strictObject({ base: commit, tip: commit, tasks: taskIds }),
  "landing.conflicted": z.strictObject({ base: commit, paths: z.array(text) }),
  "landing.rejected": z.strictObject({
    tip: commit,
    tasks: taskIds,
    answer: z.enum(GATE_ANSWERS),
    next: text,
  }),
  "landing.outrun": z.strictObject({ expected: commit, found: commit.nullable(), tasks: taskIds }),
  "landing.landed": z.strictObject({ base: commit, tip: commit, tasks: taskIds }),
  "checkout.updated": z.strictObject({ path: text, from: commit, to: commit }),
} as const;

export type EventType = keyof typeof EVENT_PAYLOADS;

export type EventPayload<T extends EventType> = z.infer<(typeof EVENT_PAYLOADS)[T]>;

/** What an event is about, beside its run. */
export interface EventSubject {
  readonly task_id?: string | undefined;
  readonly attempt?: number | undefined;
  readonly workspace_id?: string | undefined;
  readonly ticket_id?: string | undefined;
}

/** An event before the store has given it its place. */
export type NewEvent = {
  [T in EventType]: EventSubject & { readonly type: T; readonly payload: EventPayload<T> };
}[EventType];

export const EVENT_TYPES = Object.keys(EVENT_PAYLOADS) as readonly EventType[];

export const eventSchema = z.strictObject({
  v: z.literal(EVENT_VERSION),
  seq: z.number().int().positive(),
  ts: z.iso.datetime({ precision: 3 }),
  type: z.enum(EVENT_TYPES as [EventType, ...EventType[]]),
  run_id: z.string(),
  task_id: z.string().optional(),
  attempt: z.number().int().positive().optional(),
  workspace_id: z.string().optional(),
  ticket_id: z.string().optional(),
  payload: z.record(z.string(), z.unknown()),
});

/** One line of `orchestrator.jsonl`. */
export type RecordedEvent = z.infer<typeof eventSchema>;

/** Parses a stored event whole: envelope and the payload of its type. */
export function parseEvent(value: unknown): RecordedEvent {
  const event = eventSchema.parse(value);
  EVENT_PAYLOADS[event.type].parse(event.payload);
  return event;
}
