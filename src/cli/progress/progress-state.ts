import type { RecordedEvent } from "../../domain/event.ts";
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
  const { task_id: id, payload } = event;
  switch (event.type) {
    case "run.started":
      return { ...state, total: (payload["tasks"] as readonly string[]).length };
    case "turn.completed":
      return { ...state, tokens: state.tokens + totalTokens(usageSchema.parse(payload["usage"])) };
    case "landing.proposed":
      return { ...state, landing: payload["tasks"] as readonly string[] };
    case "landing.landed":
    case "landing.rejected":
    case "landing.outrun":
      return { ...state, landing: [] };
    default:
      return id === undefined ? state : advanceTask(state, event, id, nowMs);
  }
}

const PHASES: Readonly<Record<string, string>> = {
  "attempt.started": "prepares",
  "agent.started": "works",
  "agent.ended": "is checked",
};

function advanceTask(
  state: ProgressState,
  event: RecordedEvent,
  id: string,
  nowMs: number,
): ProgressState {
  const phase = PHASES[event.type];
  if (phase !== undefined) {
    const startedMs = state.running.get(id)?.startedMs ?? nowMs;
    return { ...state, running: new Map(state.running).set(id, { phase, startedMs }) };
  }
  switch (event.type) {
    case "attempt.ended":
      return { ...state, running: without(state.running, id) };
    case "task.validated":
      return { ...state, waiting: new Set(state.waiting).add(id) };
    case "task.sent_back":
      return { ...state, waiting: lacking(state.waiting, id) };
    case "task.completed": {
      const landed = state.landed + (event.payload["commit"] === null ? 0 : 1);
      return { ...settle(state, id), landed };
    }
    case "task.failed":
    case "task.skipped":
    case "task.review_requested":
      return settle(state, id);
    case "task.reopened":
      return { ...state, settled: lacking(state.settled, id) };
    default:
      return state;
  }
}

function settle(state: ProgressState, id: string): ProgressState {
  return {
    ...state,
    settled: new Set(state.settled).add(id),
    waiting: lacking(state.waiting, id),
    running: without(state.running, id),
  };
}

function lacking(ids: ReadonlySet<string>, id: string): ReadonlySet<string> {
  return ids.difference(new Set([id]));
}

function without<T>(entries: ReadonlyMap<string, T>, id: string): ReadonlyMap<string, T> {
  const rest = new Map(entries);
  rest.delete(id);
  return rest;
}
