import { conflicts, type LockSet } from "./locks.ts";

/** What the scheduler needs to know of a task. */
export interface Schedulable {
  readonly id: string;
  readonly dependencies: readonly string[];
  readonly locks: LockSet;
  /** Weight in the longest chain; 1 where nobody guessed. */
  readonly minutes: number;
}

/**
 * How often others may start past a task that waits for its locks before those locks are kept for
 * it. Small enough that nothing starves, large enough that slots are rarely left empty.
 */
export const PASSED_OVER_MAX = 8;

/** The weight of the heaviest chain of dependents that starts with each task. */
export function chainWeights(tasks: readonly Schedulable[]): ReadonlyMap<string, number> {
  const dependents = new Map<string, Schedulable[]>(tasks.map((task) => [task.id, []]));
  for (const task of tasks) {
    for (const id of task.dependencies) dependents.get(id)?.push(task);
  }
  const weights = new Map<string, number>();
  for (const task of topologicalOrder(tasks).toReversed()) {
    const below = (dependents.get(task.id) ?? []).map(
      (dependent) => weights.get(dependent.id) ?? 0,
    );
    weights.set(task.id, task.minutes + below.reduce((most, weight) => Math.max(most, weight), 0));
  }
  return weights;
}

/** Tasks with every dependency before its dependents. Throws on a cycle: planning refuses those. */
export function topologicalOrder(tasks: readonly Schedulable[]): readonly Schedulable[] {
  const order: Schedulable[] = [];
  const waiting = new Map(tasks.map((task) => [task.id, task.dependencies.length]));
  const byDependency = new Map<string, Schedulable[]>();
  for (const task of tasks) {
    for (const id of task.dependencies) {
      if (!waiting.has(id)) waiting.set(task.id, (waiting.get(task.id) ?? 0) - 1);
      byDependency.set(id, [...(byDependency.get(id) ?? []), task]);
    }
  }
  const free = tasks.filter((task) => waiting.get(task.id) === 0);
  for (let next = free.shift(); next !== undefined; next = free.shift()) {
    order.push(next);
    for (const dependent of byDependency.get(next.id) ?? []) {
      const left = (waiting.get(dependent.id) ?? 0) - 1;
      waiting.set(dependent.id, left);
      if (left === 0) free.push(dependent);
    }
  }
  if (order.length !== tasks.length) {
    throw new Error(`cycle among ${tasks.map((task) => task.id).join(", ")}`);
  }
  return order;
}

/** Heaviest chain first; ties in the order of ids, so that equal input gives equal output. */
export function byUrgency(
  weights: ReadonlyMap<string, number>,
): (left: Schedulable, right: Schedulable) => number {
  return (left, right) =>
    (weights.get(right.id) ?? 0) - (weights.get(left.id) ?? 0) || compareIds(left.id, right.id);
}

/** `2` before `10`, as people number their tasks. */
export function compareIds(left: string, right: string): number {
  return (
    left.localeCompare(right, "en", { numeric: true }) || (left < right ? -1 : left > right ? 1 : 0)
  );
}

export interface StartRequest {
  /** Tasks whose dependencies are met, most urgent first. */
  readonly ready: readonly Schedulable[];
  /** Locks in force: of running tasks, and of those that are done but not landed. */
  readonly held: readonly LockSet[];
  readonly freeSlots: number;
  /** How often each waiting task was passed over so far. */
  readonly passedOver: ReadonlyMap<string, number>;
}

export interface StartDecision {
  readonly start: readonly Schedulable[];
  /** Tasks that wait for locks while something less urgent started. */
  readonly passed: readonly Schedulable[];
}

/**
 * What to start now. Fills every free slot with the most urgent tasks that conflict neither with
 * what holds locks nor with each other; a task that was passed over too often keeps its locks
 * reserved, so that what conflicts with it waits behind it.
 */
export function decideStarts(request: StartRequest): StartDecision {
  const inForce = [...request.held];
  const start: Schedulable[] = [];
  const blocked: Schedulable[] = [];
  const passed = new Set<Schedulable>();
  for (const task of request.ready) {
    if (start.length >= request.freeSlots) break;
    if (inForce.some((locks) => conflicts(locks, task.locks))) {
      blocked.push(task);
      const times = request.passedOver.get(task.id) ?? 0;
      if (times >= PASSED_OVER_MAX) inForce.push(task.locks);
    } else {
      start.push(task);
      inForce.push(task.locks);
      for (const waiting of blocked) {
        if (conflicts(waiting.locks, task.locks)) passed.add(waiting);
      }
    }
  }
  return { start, passed: [...passed] };
}

/**
 * The dry run's picture: groups of tasks that could run side by side, each group after the one
 * before. The executor has no such barriers; it starts whatever fits the moment a slot frees.
 */
export function planBatches(
  tasks: readonly Schedulable[],
  width: number,
): readonly (readonly Schedulable[])[] {
  const urgency = byUrgency(chainWeights(tasks));
  const known = new Set(tasks.map((task) => task.id));
  const done = new Set<string>();
  let left = tasks.toSorted(urgency);
  const batches: Schedulable[][] = [];
  while (left.length > 0) {
    const ready = left.filter((task) =>
      task.dependencies.every((id) => done.has(id) || !known.has(id)),
    );
    const { start } = decideStarts({ ready, held: [], freeSlots: width, passedOver: new Map() });
    if (start.length === 0) throw new Error("no task can start: a cycle, or a width of zero");
    const batch = new Set(start);
    batches.push([...start]);
    for (const task of start) done.add(task.id);
    left = left.filter((task) => !batch.has(task));
  }
  return batches;
}
