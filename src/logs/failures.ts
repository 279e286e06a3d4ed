import { z } from "zod";
import { EVENT_TYPES, type EventPayload, type EventType } from "../domain/event.ts";
import { requireRun, type RunQuery } from "../store/find-run.ts";
import { readEventsOfTypes, type TypedEvent } from "../store/events.ts";
import type { Store } from "../store/store.ts";
import { firstLine, listText } from "../domain/words.ts";

export interface FailureQuery extends RunQuery {
  readonly taskId?: string | undefined;
}

const failureSchema = z.strictObject({
  seq: z.number().int(),
  ts: z.string(),
  type: z.enum(EVENT_TYPES as [string, ...string[]]),
  task_id: z.string().nullable(),
  attempt: z.number().int().nullable(),
  /** A word for what went wrong, such as `doctor fail` or `conflict`. */
  what: z.string(),
  reason: z.string(),
  /** The end of the output, the paths, or what the agent was told; may be empty. */
  detail: z.string(),
});

export type LoggedFailure = z.infer<typeof failureSchema>;

export const logFailuresSchema = z.strictObject({
  run_id: z.string(),
  failures: z.array(failureSchema),
});

/** Everything that did not go well, in order: verdicts, retries, refusals, stops. */
export async function listFailures(
  store: Store,
  query: FailureQuery,
): Promise<z.infer<typeof logFailuresSchema>> {
  const run = await requireRun(store, query);
  const types = Object.keys(TELLERS) as readonly FailureType[];
  const events = await readEventsOfTypes(store.tables, {
    runId: run.id,
    taskId: query.taskId,
    types,
  });
  return { run_id: run.id, failures: events.flatMap(failureOf) };
}

function failureOf(event: TypedEvent<FailureType>): readonly LoggedFailure[] {
  const teller = TELLERS[event.type] as Teller<FailureType>;
  const told = teller(event.payload);
  if (told === null) return [];
  const { seq, ts, type, task_id = null, attempt = null } = event;
  return [{ seq, ts, type, task_id, attempt, ...told }];
}

type Told = Pick<LoggedFailure, "what" | "reason" | "detail">;

type Teller<T extends EventType> = (payload: EventPayload<T>) => Told | null;

type FailureType = keyof typeof TELLERS;

const TELLERS = {
  "gate.decided": ({ gate, answer, reason, command, output_tail }) =>
    answer === "pass"
      ? null
      : {
          what: `${gate} ${answer}`,
          reason: command === null ? reason : `${reason}: \`${firstLine(command)}\``,
          detail: output_tail,
        },
  "task.retried": ({ reason, feedback }) => ({
    what: "retry",
    reason,
    detail: firstLine(feedback),
  }),
  "task.sent_back": ({ reason, feedback }) => ({ what: "sent back", reason, detail: feedback }),
  "task.failed": ({ reason, message }) => ({ what: "task failed", reason, detail: message }),
  "task.review_requested": ({ reason, message }) => ({
    what: "waits for a person",
    reason,
    detail: message,
  }),
  "task.skipped": ({ reason, message }) => ({ what: "skipped", reason, detail: message }),
  "attempt.ended": ({ outcome, reason }) =>
    outcome === "lost" ? { what: "attempt lost", reason, detail: "" } : null,
  "agent.ended": ({ reason, message }) =>
    reason === "completed" ? null : { what: "agent", reason, detail: message },
  "agent.quota": ({ resets_at, message }) => ({
    what: "quota used up",
    reason: resets_at === null ? "no time of reset is known" : `resets at ${resets_at}`,
    detail: message,
  }),
  "manifest.violated": ({ enforcement, violations, unlisted }) => {
    const paths = violations.map(({ path }) => path);
    const reason = listText(paths, unlisted);
    return { what: `outside the manifest (${enforcement})`, reason, detail: "" };
  },
  "budget.block": ({ message }) => ({ what: "budget spent", reason: message, detail: "" }),
  "landing.conflicted": ({ paths }) => ({ what: "conflict", reason: listText(paths), detail: "" }),
  "landing.rejected": ({ tasks, answer, next }) => ({
    what: "candidate refused",
    reason: `${answer}, of ${listText(tasks)}`,
    detail: `next: ${next}`,
  }),
  "landing.outrun": ({ expected, found, tasks }) => ({
    what: "branch moved by somebody else",
    reason: listText(tasks),
    detail: `from ${expected} to ${found ?? "nothing"}`,
  }),
  "run.paused": ({ reason, message, hint }) => ({
    what: "run paused",
    reason: `${reason}: ${message}`,
    detail: hint,
  }),
  "run.failed": ({ reason, message, hint }) => ({
    what: "run failed",
    reason: `${reason}: ${message}`,
    detail: hint,
  }),
} satisfies { readonly [T in EventType]?: Teller<T> };
