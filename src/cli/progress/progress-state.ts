import type { RecordedEvent } from "../../domain/event.ts";
import { usageSchema, totalTokens } from "../../domain/usage.ts";

/** What the status line of a run shows. */
export interface ProgressState {
  readonly total: number;
  readonly settled: ReadonlySet<string>;
  readonly landed: number;
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
  running: new Map(),
  landing: [],
  tokens: 0,
};

/** What a run's tasks are and which of them are settled, where it is gone on with. */
export function standing(
  tasks: readonly { readonly id: string; readonly state: string; readonly landed_commit: string | null }[],
): ProgressState {
  const complete = tasks.filter(({ state }) => state === "complete");
  return {
    ...NO_PROGRESS,
    total: tasks.length,
    settled: new Set(complete.map(({ id }) => id)),
    landed: tasks.filter(({ landed_commit }) => landed_commit !== null).length,
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
      return without(state, id);
    case "task.completed": {
      const landed = state.landed + (event.payload["commit"] === null ? 0 : 1);
      return { ...without(state, id), landed, settled: new Set(state.settled).add(id) };
    }
    case "task.failed":
    case "task.skipped":
    case "task.review_requested":
      return { ...without(state, id), settled: new Set(state.settled).add(id) };
    case "task.reopened": {
      const settled = new Set(state.settled);
      settled.delete(id);
      return { ...state, settled };
    }
    default:
      return state;
  }
}

function without(state: ProgressState, id: string): ProgressState {
  const running = new Map(state.running);
  running.delete(id);
  return { ...state, running };
}
