import { Refusal } from "../domain/failure.ts";
import { timestamp } from "../lib/clock.ts";
import { findSwarm, swarmTasks, updateSwarmTasks } from "../store/swarms.ts";
import type { SwarmRow, SwarmTaskChange, SwarmTaskRow } from "../store/swarms.ts";
import type { SwarmMeans } from "./means.ts";
import { swarmPlanSchema, taskOutcomeSchema } from "./swarm-request.ts";
import type { SwarmPlan, TaskOutcome } from "./swarm-request.ts";

/** What is known of a swarm, read anew from the store. */
export interface SwarmRecord {
  readonly row: SwarmRow;
  readonly plan: SwarmPlan;
  readonly tasks: readonly SwarmTaskRow[];
}

/** Throws `swarm-missing`. */
export async function readSwarm(
  { store }: Pick<SwarmMeans, "store">,
  id: string,
): Promise<SwarmRecord> {
  const row = await findSwarm(store, id);
  if (row === undefined) {
    throw new Refusal("swarm-missing", `there is no swarm ${JSON.stringify(id)}`, {
      hint: "`mycelium swarm list` shows what there is",
      details: { id },
    });
  }
  const plan = swarmPlanSchema.parse(JSON.parse(row.request));
  return { row, plan, tasks: await swarmTasks(store, id) };
}

export async function changeTask(
  { store }: SwarmMeans,
  id: string,
  ordinal: number,
  values: SwarmTaskChange["values"],
): Promise<void> {
  await updateSwarmTasks(store, id, [{ ordinal, values }]);
}

export function outcomeOf({ outcome }: SwarmTaskRow): TaskOutcome | null {
  return outcome === null ? null : taskOutcomeSchema.parse(JSON.parse(outcome));
}

/** Each try has a name of its own. */
export function workerName(id: string, { ordinal }: SwarmTaskRow, attempt: number): string {
  return `${id}-${ordinal + 1}${attempt > 1 ? `-${attempt}` : ""}`;
}

export async function endSwarm(
  { store, clock }: SwarmMeans,
  id: string,
  end: { readonly state: SwarmRow["state"]; readonly message: string | null },
): Promise<void> {
  await updateSwarmTasks(store, id, [], { ...end, ended_at: timestamp(clock) });
}
