import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Refusal } from "../domain/failure.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { tryLockFile } from "../lib/file-lock.ts";
import { findSwarm, swarmTasks, updateSwarmTasks, type SwarmTaskRow } from "../store/swarms.ts";
import { SWARM_LIMITS } from "./limits.ts";
import type { SwarmMeans } from "./means.ts";
import { mergeSwarm } from "./merge-swarm.ts";
import { holdRoomFor, isForking } from "./room.ts";
import { removeWorker, settleWorkers } from "./settle-workers.ts";
import { changeTask, endSwarm, readSwarm, workerName } from "./swarm-record.ts";
import type { SwarmPlan } from "./swarm-request.ts";
import {
  commitLeftovers,
  destroyWorker,
  findWorker,
  forkWorker,
  prepareWorker,
  runTask,
} from "./worker.ts";

/**
 * Does everything that is left of a swarm, whoever began it: tasks, merge, clean-up. Ends early,
 * with everything saved and to be gone on with, where the signal is aborted. Throws `swarm-refused`
 * where another process is at it.
 */
export async function conductSwarm(means: SwarmMeans, id: string): Promise<void> {
  using lock = lockSwarm(means, id);
  if (lock === null) {
    throw new Refusal("swarm-refused", `another process is at work on ${id}`, {
      hint: `\`mycelium swarm status ${id}\` shows how far it is`,
    });
  }
  const { plan } = await readSwarm(means, id);
  await reopenInterrupted(means, id, plan);
  const need = { plan, tasks: await swarmTasks(means.store, id) };
  // Somebody may have taken the golden over since it was begun.
  if (isForking(need)) means.refuseForeignSnapshot(plan.snapshot);
  using _room = await holdRoomFor(means, id, need);
  using watch = watchForCancel(means, id);
  await workOnAll({ means, id, plan, signal: watch.signal });
  if (means.signal.aborted && !watch.isCancelled()) return;
  if (watch.isCancelled() || (await isCancelRequested(means, id))) {
    await finishCancelled(means, id);
    return;
  }
  const merge = await mergeSwarm(means, id);
  await settleWorkers(means, id);
  const tasks = await swarmTasks(means.store, id);
  const failed = tasks.filter(({ state }) => state !== "succeeded");
  const isMerged = tasks.every(({ work }) => work !== "unmerged");
  const isWhole = failed.length === 0 && isMerged;
  const message =
    failed.length > 0
      ? `${failed.length} of ${tasks.length} tasks failed`
      : isMerged
        ? null
        : (merge?.error ?? merge?.report?.message ?? "the merge did not land");
  await endSwarm(means, id, { state: isWhole ? "complete" : "failed", message });
}

/** Held by whoever conducts it, and free as soon as that process is gone; `null` where it is held. */
export function lockSwarm({ locksDir }: Pick<SwarmMeans, "locksDir">, id: string) {
  mkdirSync(locksDir, { recursive: true });
  return tryLockFile(join(locksDir, `${id}.lock`));
}

/** What a killed process had begun is begun anew; what had succeeded stays, as long as it is there. */
async function reopenInterrupted(means: SwarmMeans, id: string, plan: SwarmPlan): Promise<void> {
  for (const task of await swarmTasks(means.store, id)) {
    const isHalf = task.state === "running";
    const isLost =
      task.state === "succeeded" &&
      task.work !== "merged" &&
      plan.request.merge_strategy !== undefined &&
      (task.worker === null || (await findWorker(means, task.worker)) === null);
    if (!isHalf && !isLost) continue;
    if (task.worker !== null) await destroyWorker(means, plan.kind, task.worker);
    await changeTask(means, id, task.ordinal, {
      state: "pending",
      worker_state: task.worker === null ? "none" : "destroyed",
      work: "open",
      outcome: null,
      error: null,
    });
  }
}

interface Watch extends Disposable {
  /** Aborted by whoever called, or by a request to cancel. */
  readonly signal: AbortSignal;
  isCancelled(): boolean;
}

function watchForCancel(means: SwarmMeans, id: string): Watch {
  const cancel = new AbortController();
  const over = new AbortController();
  const poll = async (): Promise<void> => {
    while (!over.signal.aborted && !cancel.signal.aborted) {
      if (await isCancelRequested(means, id)) cancel.abort();
      else await means.clock.sleep(SWARM_LIMITS.cancelPollMs, over.signal);
    }
  };
  const polling = poll();
  // A store that fails here fails the swarm's own next step too, which tells of it.
  polling.catch(() => cancel.abort());
  return {
    signal: AbortSignal.any([cancel.signal, means.signal]),
    isCancelled: () => cancel.signal.aborted,
    [Symbol.dispose]: () => over.abort(),
  };
}

async function isCancelRequested({ store }: SwarmMeans, id: string): Promise<boolean> {
  return (await findSwarm(store, id))?.cancel_requested === 1;
}

interface Work {
  readonly means: SwarmMeans;
  readonly id: string;
  readonly plan: SwarmPlan;
  readonly signal: AbortSignal;
}

async function workOnAll(work: Work): Promise<void> {
  const { means, id, plan, signal } = work;
  const tasks = await swarmTasks(means.store, id);
  const waiting = tasks.filter(({ state }) => state === "pending");
  let done = tasks.length - waiting.length;
  const next = async (): Promise<void> => {
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) {
      if (signal.aborted) return;
      await workOn(work, task);
      done += 1;
      means.onProgress(done, tasks.length, `${task.name} is done`);
    }
  };
  const width = Math.min(plan.request.max_parallel, waiting.length);
  await Promise.all(Array.from({ length: width }, next));
}

async function workOn(work: Work, task: SwarmTaskRow): Promise<void> {
  const { means, id, plan, signal } = work;
  const { ordinal, name } = task;
  const attempt = task.attempt + 1;
  const worker = workerName(id, task, attempt);
  const begun = { state: "running", attempt, worker, worker_state: "made", base: null } as const;
  await changeTask(means, id, ordinal, { ...begun, rescued: null });
  crashPoint("swarm.task-recorded");
  const fail = (error: string): Promise<void> =>
    changeTask(means, id, ordinal, { state: "failed", error });
  const forked = await forkWorker(means, plan, { swarm: id, id: worker });
  crashPoint("swarm.worker-made");
  if (!forked.ok) return fail(forked.failure.message);
  const prepared = await prepareWorker(forked.value, plan, name);
  if (!prepared.ok) return fail(prepared.failure.message);
  await changeTask(means, id, ordinal, { base: prepared.value });
  crashPoint("swarm.task-running");
  const outcome = await runTask(forked.value, { plan, ordinal, swarm: id, signal });
  crashPoint("swarm.task-ended");
  // Whoever goes on begins it anew; a cancelled one ends with all others.
  if (outcome.ending === "aborted") {
    return interrupt(work, { ...task, ...begun, base: prepared.value });
  }
  const isGood = outcome.ending === "exited" && outcome.exit_code === 0;
  const wantsMerge = plan.request.merge_strategy !== undefined;
  const committed =
    isGood && wantsMerge && prepared.value !== null
      ? await commitLeftovers(forked.value, name)
      : ({ ok: true } as const);
  await changeTask(means, id, ordinal, {
    state: isGood && committed.ok ? "succeeded" : "failed",
    outcome: JSON.stringify(outcome),
    error: committed.ok ? null : committed.failure.message,
  });
  crashPoint("swarm.task-settled");
  // What waits for a merge has to stay; all else makes room for the next.
  if (!plan.request.cleanup || (isGood && wantsMerge)) return;
  const settled = (await swarmTasks(means.store, id))[ordinal];
  if (settled !== undefined) await removeWorker(means, id, { plan, task: settled });
}

/** What it had done so far is brought onto the host: nobody knows whether it is begun again. */
async function interrupt({ means, id, plan }: Work, task: SwarmTaskRow): Promise<void> {
  await removeWorker(means, id, { plan, task });
  await changeTask(means, id, task.ordinal, { state: "pending" });
}

/** Nothing is merged; the work of what had succeeded is brought onto the host. */
export async function finishCancelled(means: SwarmMeans, id: string): Promise<void> {
  const { plan, tasks } = await readSwarm(means, id);
  const stopped = tasks.filter(({ state }) => state === "pending" || state === "running");
  await updateSwarmTasks(
    means.store,
    id,
    stopped.map(({ ordinal }) => ({ ordinal, values: { state: "cancelled" } })),
  );
  for (const task of await swarmTasks(means.store, id)) {
    if (task.worker_state === "made") await removeWorker(means, id, { plan, task });
  }
  await endSwarm(means, id, { state: "cancelled", message: "it was cancelled" });
}
