import type { SwarmTaskRow } from "../store/swarms.ts";
import type { SwarmMeans } from "./means.ts";
import type { SwarmPlan } from "./swarm-request.ts";

type TaskState = Pick<SwarmTaskRow, "state" | "worker_state">;

export interface RoomNeed {
  readonly plan: SwarmPlan;
  readonly tasks: readonly TaskState[];
}

/**
 * How many workers a swarm may have at once from here on: those that stand, and those to come, which
 * stay until the merge where one is wanted, and for good where no clean-up is.
 */
export function roomFor({ plan, tasks }: RoomNeed): number {
  const { merge_strategy: strategy, cleanup, max_parallel: parallel } = plan.request;
  const pending = tasks.filter(({ state }) => state === "pending").length;
  const standing = tasks.filter(
    ({ state, worker_state }) => state !== "pending" && worker_state === "made",
  ).length;
  const stay = strategy !== undefined || !cleanup;
  return standing + (stay ? pending : Math.min(parallel, pending));
}

/** Whether workers are still to be made. */
export function isForking({ tasks }: Pick<RoomNeed, "tasks">): boolean {
  return tasks.some(({ state }) => state === "pending");
}

/** Room for all of them, so that no task fails half-way for want of it. Throws `quota-exceeded`. */
export async function holdRoomFor(
  means: SwarmMeans,
  id: string,
  need: RoomNeed,
): Promise<Disposable> {
  // What is only to be merged and settled takes no more room than it has.
  if (isForking(need)) return means.holdRoom(id, roomFor(need));
  return { [Symbol.dispose]: () => undefined };
}
