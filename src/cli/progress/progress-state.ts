import type { EventType, RecordedEvent } from "../../domain/event.ts";
import { usageSchema, totalTokens } from "../../domain/usage.ts";

/** What the status line of a run shows. */
export interface ProgressState {
  readonly total: number;
  readonly settled: ReadonlySet<string>;
  readonly landed: number;
  /** Tasks that passed their gates and wait for their landing. */
  readonly waiting: ReadonlySet<string>;
  /** Tasks that are worked on, in the order in which they were begun. */
  readonly running: ReadonlyMap<string, RunningTask>;
  /** Tasks of the candidate that is being proved. */
  readonly landing: readonly string[];
  readonly tokens: number;
}

export interface RunningTask {
  readonly phase: string;
  readonly startedMs: number;
}

export const NO_PROGRESS: ProgressState = {
  total: 0,
  settled: new Set(),
  landed: 0,
  waiting: new Set(),
  running: new Map(),
  landing: [],
  tokens: 0,
};

export interface Standing {
  readonly tasks: readonly {
    readonly id: string;
    readonly state: string;
    readonly landed_commit: string | null;
  }[];
  readonly usage: { readonly tokens: number | null };
}

/** How a run stands that is gone on with. */
export function standing({ tasks, usage }: Standing): ProgressState {
  const inState = (wanted: string): ReadonlySet<string> =>
    new Set(tasks.filter(({ state }) => state === wanted).map(({ id }) => id));
  return {
    ...NO_PROGRESS,
    total: tasks.length,
    settled: inState("complete"),
    landed: tasks.filter(({ landed_commit }) => landed_commit !== null).length,
    waiting: inState("validated"),
    tokens: usage.tokens ?? 0,
  };
}

/** The state after an event that came at a time of the monotonic clock. */
export function advance(state: ProgressState, event: RecordedEvent, nowMs: number): ProgressState {
  const step = STEPS[event.type];
  return step === undefined ? state : step(state, event, nowMs);
}

type Step = (state: ProgressState, event: RecordedEvent, nowMs: number) => ProgressState;

const work =
  (phase: string): Step =>
  (state, { task_id: id }, nowMs) => {
    if (id === undefined) return state;
    const startedMs = state.running.get(id)?.startedMs ?? nowMs;
    return { ...state, running: new Map(state.running).set(id, { phase, startedMs }) };
  };

const settle: Step = (state, { task_id: id = "" }) => ({
  ...state,
  settled: new Set(state.settled).add(id),
  waiting: lacking(state.waiting, id),
  running: without(state.running, id),
});

const endProof: Step = (state) => ({ ...state, landing: [] });

const STEPS: Readonly<Partial<Record<EventType, Step>>> = {
  "run.started": (state, { payload }) => ({ ...state, total: namesIn(payload["tasks"]).length }),
  "attempt.started": work("prepares"),
  "agent.started": work("works"),
  "agent.ended": work("is checked"),
  "attempt.ended": (state, { task_id: id = "" }) => ({
    ...state,
    running: without(state.running, id),
  }),
  "turn.completed": (state, { payload }) => ({
    ...state,
    tokens: state.tokens + totalTokens(usageSchema.parse(payload["usage"])),
  }),
  "task.validated": (state, { task_id: id = "" }) => ({
    ...state,
    waiting: new Set(state.waiting).add(id),
  }),
  "task.sent_back": (state, { task_id: id = "" }) => ({
    ...state,
    waiting: lacking(state.waiting, id),
  }),
  "task.completed": (state, event, nowMs) => ({
    ...settle(state, event, nowMs),
    landed: state.landed + (event.payload["commit"] === null ? 0 : 1),
  }),
  "task.failed": settle,
  "task.skipped": settle,
  "task.review_requested": settle,
  "task.reopened": (state, { task_id: id = "" }) => ({
    ...state,
    settled: lacking(state.settled, id),
  }),
  "landing.proposed": (state, { payload }) => ({ ...state, landing: namesIn(payload["tasks"]) }),
  "landing.landed": endProof,
  "landing.rejected": endProof,
  "landing.outrun": endProof,
};

function namesIn(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function lacking(ids: ReadonlySet<string>, id: string): ReadonlySet<string> {
  return ids.difference(new Set([id]));
}

function without<T>(entries: ReadonlyMap<string, T>, id: string): ReadonlyMap<string, T> {
  const rest = new Map(entries);
  rest.delete(id);
  return rest;
}
