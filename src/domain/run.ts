import type { Result } from "./failure.ts";
import type { IllegalMove } from "./task.ts";

export const RUN_STATES = ["running", "paused", "failed", "complete"] as const;

export type RunState = (typeof RUN_STATES)[number];

export type RunMove = "pause" | "fail" | "complete" | "resume";

/**
 * The life of a run. `running --> running` is the take-over of a run whose process died.
 *
 * ```mermaid
 * stateDiagram-v2
 *   running --> paused: pause
 *   running --> failed: fail
 *   running --> complete: complete
 *   running --> running: resume
 *   paused --> running: resume
 *   failed --> running: resume
 * ```
 */
export const RUN_TRANSITIONS: Readonly<
  Record<RunState, Readonly<Partial<Record<RunMove, RunState>>>>
> = {
  running: { pause: "paused", fail: "failed", complete: "complete", resume: "running" },
  paused: { resume: "running" },
  failed: { resume: "running" },
  complete: {},
};

export function moveRun(from: RunState, move: RunMove): Result<RunState, IllegalMove> {
  const to = RUN_TRANSITIONS[from][move];
  return to === undefined ? { ok: false, failure: { from, move } } : { ok: true, value: to };
}

/** Why a run stopped before its work was done. Exit code 3 where a person's decision is awaited. */
export const STOP_REASONS = {
  "interrupted": { move: "pause", exitCode: 130 },
  "terminated": { move: "pause", exitCode: 143 },
  "checkout-blocked": { move: "pause", exitCode: 3 },
  "ref-locked": { move: "pause", exitCode: 3 },
  "budget": { move: "fail", exitCode: 3 },
  "manifest": { move: "fail", exitCode: 1 },
  "task-failed": { move: "fail", exitCode: 1 },
  "agent-missing": { move: "fail", exitCode: 1 },
  "gate-could-not-run": { move: "fail", exitCode: 1 },
  "base-is-broken": { move: "fail", exitCode: 1 },
  "disk-full": { move: "fail", exitCode: 1 },
  "internal": { move: "fail", exitCode: 1 },
} as const satisfies Record<string, { move: RunMove; exitCode: number }>;

export type StopReason = keyof typeof STOP_REASONS;
