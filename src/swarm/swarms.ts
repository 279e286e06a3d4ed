import { randomBytes } from "node:crypto";
import { Refusal } from "../domain/failure.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { insertSwarm, swarmTasks, updateSwarm, updateSwarmTasks } from "../store/swarms.ts";
import type { SwarmTaskChange } from "../store/swarms.ts";
import { conductSwarm, finishCancelled, lockSwarm } from "./conduct-swarm.ts";
import type { SwarmMeans } from "./means.ts";
import { preflight } from "./preflight.ts";
import { holdRoomFor } from "./room.ts";
import { removeWorker } from "./settle-workers.ts";
import { readSwarm } from "./swarm-record.ts";
import { reportSwarm, type ShownSwarm } from "./swarm-report.ts";
import type { SwarmRequest } from "./swarm-request.ts";

const ID_BYTES = 4;

/** Checks, records and does a swarm; answers what became of it, whatever became of its tasks. */
export async function runSwarm(
  means: SwarmMeans,
  request: SwarmRequest,
  owner: { readonly id: string; readonly kind: string },
): Promise<ShownSwarm> {
  const plan = await preflight(means, request);
  const id = `swarm-${randomBytes(ID_BYTES).toString("hex")}`;
  const tasks = request.tasks.map(() => ({ state: "pending", worker_state: "none" }) as const);
  using _room = await holdRoomFor(means, id, { plan, tasks });
  const swarm = { id, owner: JSON.stringify(owner), request: JSON.stringify(plan) };
  await insertSwarm(means.store, { swarm, taskNames: request.tasks.map(({ name }) => name) });
  crashPoint("swarm.recorded");
  means.onProgress(0, request.tasks.length, `${id} has begun`);
  await conductSwarm(means, id);
  return reportSwarm(means, id);
}

/** Goes on with one whose process died, or whose merge did not land. One that is done stays so. */
export async function resumeSwarm(means: SwarmMeans, id: string): Promise<ShownSwarm> {
  const { row, tasks } = await readSwarm(means, id);
  if (row.state === "cancelled") {
    throw refused(`${id} was cancelled`, `\`mycelium swarm retry ${id}\` begins anew`);
  }
  const isUnmerged = tasks.some(({ work }) => work === "unmerged");
  if (row.state !== "running" && !isUnmerged) return reportSwarm(means, id);
  await reopen(means, id, []);
  await conductSwarm(means, id);
  return reportSwarm(means, id);
}

/** Begins tasks anew that failed or were cancelled: all of them, or those that are named. */
export async function retrySwarm(
  means: SwarmMeans,
  id: string,
  names: readonly string[] | null,
): Promise<ShownSwarm> {
  const { row, plan, tasks } = await readSwarm(means, id);
  if (row.state === "running") {
    throw refused(`${id} is not over`, `\`mycelium swarm resume ${id}\` goes on with it`);
  }
  const unknown = names?.find((name) => !tasks.some((task) => task.name === name));
  if (unknown !== undefined) throw refused(`${id} has no task ${unknown}`, "name one of its tasks");
  const again = tasks.filter(
    ({ name, state }) =>
      (state === "failed" || state === "cancelled") && (names?.includes(name) ?? true),
  );
  if (again.length === 0) throw refused(`${id} has no failed task to do again`, "nothing is to do");
  means.refuseForeignSnapshot(plan.snapshot);
  {
    using lock = lockSwarm(means, id);
    if (lock === null) throw refused(`another process is at work on ${id}`, "wait for it");
    for (const task of again) await removeWorker(means, id, { plan, task });
    const values = { state: "pending", outcome: null, error: null, work: "open" } as const;
    await reopen(
      means,
      id,
      again.map(({ ordinal }) => ({ ordinal, values })),
    );
  }
  await conductSwarm(means, id);
  return reportSwarm(means, id);
}

async function reopen(
  means: SwarmMeans,
  id: string,
  changes: readonly SwarmTaskChange[],
): Promise<void> {
  // Workers that stayed for their work are settled again when it has landed.
  const kept = (await swarmTasks(means.store, id))
    .filter(({ worker_state, work }) => worker_state === "kept" && work === "unmerged")
    .map(({ ordinal }) => ({ ordinal, values: { worker_state: "made" as const } }));
  const running = { state: "running", cancel_requested: 0, message: null, ended_at: null } as const;
  await updateSwarmTasks(means.store, id, [...kept, ...changes], running);
}

/**
 * Ends what runs of a swarm and settles it: by whoever is at work on it, or, where that process is
 * gone, here. Work is brought onto the host; nothing is merged.
 */
export async function cancelSwarm(means: SwarmMeans, id: string): Promise<ShownSwarm> {
  const { row } = await readSwarm(means, id);
  if (row.state !== "running") throw refused(`${id} is over`, "it cannot be cancelled any more");
  await updateSwarm(means.store, id, { cancel_requested: 1 });
  while (!means.signal.aborted) {
    using lock = lockSwarm(means, id);
    const { row: now } = await readSwarm(means, id);
    if (now.state !== "running") break;
    if (lock !== null) {
      await finishCancelled(means, id);
      break;
    }
    await means.clock.sleep(POLL_MS, means.signal);
  }
  return reportSwarm(means, id);
}

const POLL_MS = 50;

function refused(message: string, hint: string): Refusal {
  return new Refusal("swarm-refused", message, { hint });
}
