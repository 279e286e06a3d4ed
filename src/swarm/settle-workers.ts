import { crashPoint } from "../lib/crash-point.ts";
import { mapLimited } from "../lib/map-limited.ts";
import type { SwarmTaskRow } from "../store/swarms.ts";
import type { SwarmMeans } from "./means.ts";
import { changeTask, readSwarm } from "./swarm-record.ts";
import type { SwarmPlan } from "./swarm-request.ts";
import { destroyWorker, handOver, rescueWorker } from "./worker.ts";

const AT_ONCE = 8;

/**
 * Destroys the workers whose work is safe, merged or brought onto the host, and hands those over that
 * have to stay: all where no clean-up is wanted, and those whose success no target has taken.
 */
export async function settleWorkers(means: SwarmMeans, id: string): Promise<void> {
  const { plan, tasks } = await readSwarm(means, id);
  await mapLimited(tasks, AT_ONCE, (task) => settleWorker(means, id, { plan, task }));
}

async function settleWorker(
  means: SwarmMeans,
  id: string,
  { plan, task }: { readonly plan: SwarmPlan; readonly task: SwarmTaskRow },
): Promise<void> {
  if (task.worker === null || task.worker_state !== "made") return;
  const isWanted = !plan.request.cleanup || task.work === "unmerged";
  if (isWanted && task.state !== "cancelled") {
    handOver(means, task.worker);
    await changeTask(means, id, task.ordinal, { worker_state: "kept" });
    return;
  }
  await removeWorker(means, id, { plan, task });
}

/** Brings onto the host what was not merged, then destroys the worker; what cannot be saved stays. */
export async function removeWorker(
  means: SwarmMeans,
  id: string,
  { plan, task }: { readonly plan: SwarmPlan; readonly task: SwarmTaskRow },
): Promise<void> {
  const { worker, ordinal } = task;
  if (worker === null || task.worker_state === "destroyed" || task.worker_state === "none") return;
  if (task.work !== "merged") {
    const rescued = await rescueWorker(means, worker, task.base);
    if (!rescued.ok) {
      const error = `its work could not be saved, so it stays: ${rescued.failure.message}`;
      handOver(means, worker);
      await changeTask(means, id, ordinal, { worker_state: "kept", error: task.error ?? error });
      return;
    }
    if (rescued.value !== null) await changeTask(means, id, ordinal, { rescued: rescued.value });
  }
  await destroyWorker(means, plan.kind, worker);
  crashPoint("swarm.worker-destroyed");
  await changeTask(means, id, ordinal, { worker_state: "destroyed" });
}
