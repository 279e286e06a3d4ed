import { z } from "zod";
import { GATE_ANSWERS } from "../domain/gate.ts";
import { RUN_STATES } from "../domain/run.ts";
import { TASK_STATES, type TaskState } from "../domain/task.ts";
import { readEventsOfTypes } from "../store/events.ts";
import { listRuns, type RunRow } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { requireRun } from "../store/find-run.ts";
import { nextStep } from "./next-step.ts";
import {
  readTaskFigures,
  sumUsages,
  taskFiguresSchema,
  usageFiguresSchema,
} from "./run-figures.ts";
import { findRunOwner } from "../store/run-owner.ts";

const verdictSchema = z.strictObject({
  gate: z.string(),
  answer: z.enum(GATE_ANSWERS),
  reason: z.string(),
  at: z.string(),
});

/** What one gate said last, of a task's work or of a landing. */
export type LastVerdict = z.infer<typeof verdictSchema>;

const countsSchema = z.record(z.enum(TASK_STATES), z.number().int());

export const taskReportSchema = taskFiguresSchema.extend({
  /** From its first start to its end, or until now; `null` before it starts. */
  duration_ms: z.number().int().nullable(),
  gates: z.array(verdictSchema),
});

export type TaskReport = z.infer<typeof taskReportSchema>;

export const runReportSchema = z.strictObject({
  run_id: z.string(),
  status: z.enum(RUN_STATES),
  /** Whether a process conducts it right now. */
  is_live: z.boolean(),
  stop: z.strictObject({ reason: z.string(), message: z.string() }).nullable(),
  repository: z.string(),
  config_path: z.string(),
  branch: z.string(),
  base_commit: z.string(),
  agent: z.string(),
  workspace: z.string(),
  max_parallel: z.number().int(),
  started_at: z.string(),
  ended_at: z.string().nullable(),
  duration_ms: z.number().int(),
  counts: countsSchema,
  tasks: z.array(taskReportSchema),
  /** What the gates said last of a landing. */
  landing_gates: z.array(verdictSchema),
  usage: usageFiguresSchema,
  /** What to do next, in words. */
  next: z.string(),
});

export type RunReport = z.infer<typeof runReportSchema>;

/** Everything that `status`, `run` and `resume` tell of a run. Refuses where there is no such run. */
export async function reportRun(store: Store, runId: string): Promise<RunReport> {
  const run = await requireRun(store, { runId });
  const owner = await findRunOwner(store, run);
  const figures = await readTaskFigures(store.tables, run.id);
  const verdicts = await readLastVerdicts(store, run.id);
  const counts = countStates(figures.map(({ state }) => state));
  const landed = figures.filter(({ landed_commit }) => landed_commit !== null).length;
  const { id, repository, branch, status, stop_reason, stop_message } = run;
  const hint = await readStopHint(store, run);
  const nowMs = store.clock.now();
  return {
    ...pickRunFields(run),
    is_live: owner !== null,
    stop: stop_reason === null ? null : { reason: stop_reason, message: stop_message ?? "" },
    repository,
    config_path: run.config_path,
    base_commit: run.base_commit,
    workspace: run.workspace_kind,
    max_parallel: run.max_parallel,
    duration_ms: durationMs(run, nowMs) ?? 0,
    counts,
    tasks: figures.map((task) => ({
      ...task,
      duration_ms: durationMs(task, nowMs),
      gates: verdicts.get(task.id) ?? [],
    })),
    landing_gates: verdicts.get(OF_LANDINGS) ?? [],
    usage: sumUsages(figures.map(({ usage }) => usage)),
    next: nextStep({ runId: id, status, stopReason: stop_reason, hint, owner, branch, landed }),
  };
}

export const runSummarySchema = runReportSchema
  .pick({
    run_id: true,
    status: true,
    branch: true,
    agent: true,
    started_at: true,
    ended_at: true,
    is_live: true,
    repository: true,
    counts: true,
  })
  .extend({ tasks: z.number().int() });

/** One line of `runs list`. */
export type RunSummary = z.infer<typeof runSummarySchema>;

/** The newest runs first. */
export async function reportRuns(
  store: Store,
  { limit }: { readonly limit: number },
): Promise<readonly RunSummary[]> {
  const runs = await listRuns(store.tables, limit);
  const states = await store.tables
    .selectFrom("tasks")
    .select((select) => ["run_id", "state", select.fn.countAll().as("count")])
    .groupBy(["run_id", "state"])
    .execute();
  const byRun = Map.groupBy(states, ({ run_id }) => run_id);
  return Promise.all(
    runs.map(async (run) => {
      const counts = countStates([]);
      for (const { state, count } of byRun.get(run.id) ?? []) counts[state] = Number(count);
      return {
        ...pickRunFields(run),
        is_live: (await findRunOwner(store, run)) !== null,
        repository: run.repository,
        counts,
        tasks: Object.values(counts).reduce((sum, count) => sum + count, 0),
      };
    }),
  );
}

function pickRunFields(
  run: RunRow,
): Pick<RunReport, "run_id" | "status" | "branch" | "agent" | "started_at" | "ended_at"> {
  const { id, status, branch, agent, started_at, ended_at } = run;
  return { run_id: id, status, branch, agent, started_at, ended_at };
}

function countStates(states: readonly TaskState[]): Record<TaskState, number> {
  const counts = Object.fromEntries(TASK_STATES.map((state) => [state, 0]));
  for (const state of states) counts[state] = (counts[state] ?? 0) + 1;
  return counts as Record<TaskState, number>;
}

function durationMs(
  times: { readonly started_at: string | null; readonly ended_at: string | null },
  nowMs: number,
): number | null {
  if (times.started_at === null) return null;
  const endMs = times.ended_at === null ? nowMs : Date.parse(times.ended_at);
  return Math.max(0, endMs - Date.parse(times.started_at));
}

/** Stands for landings among the ids of tasks, and is none. */
const OF_LANDINGS = "";

async function readLastVerdicts(
  store: Store,
  runId: string,
): Promise<ReadonlyMap<string, LastVerdict[]>> {
  const bySubject = new Map<string, Map<string, LastVerdict>>();
  const query = { runId, types: ["gate.decided"] } as const;
  for (const event of await readEventsOfTypes(store.tables, query)) {
    const subject = event.task_id ?? OF_LANDINGS;
    const gates = bySubject.get(subject) ?? new Map<string, LastVerdict>();
    const { gate, answer, reason } = event.payload;
    gates.set(gate, { gate, answer, reason, at: event.ts });
    bySubject.set(subject, gates);
  }
  return new Map([...bySubject].map(([subject, gates]) => [subject, [...gates.values()]]));
}

async function readStopHint(store: Store, run: RunRow): Promise<string | null> {
  if (run.status !== "paused" && run.status !== "failed") return null;
  const query = { runId: run.id, types: ["run.paused", "run.failed"] } as const;
  const stops = await readEventsOfTypes(store.tables, query);
  const hint = stops.at(-1)?.payload.hint;
  return hint === undefined || hint === "" ? null : hint;
}
