import { manifestSchema, type Manifest } from "../domain/task.ts";
import { byUrgency, chainWeights, type Schedulable } from "../domain/schedule.ts";
import { listTasks, type TaskRow } from "../store/tasks.ts";
import type { Database } from "../store/store.ts";

/** A task as the executor sees it: its row, and what is derived from it. */
export interface BoardTask {
  readonly row: TaskRow;
  readonly manifest: Manifest;
  readonly schedulable: Schedulable;
}

/**
 * The tasks of one run in memory. The database is the truth; only this process writes it while it
 * holds the run's lease, so each recorded row is put here and nothing is read twice.
 */
export interface Board {
  /** Every task, most urgent first. */
  all(): readonly BoardTask[];
  get(taskId: string): BoardTask;
  /** Takes in a row that was just recorded. */
  put(row: TaskRow): void;
  /** Pending tasks whose dependencies have landed, most urgent first. */
  ready(): readonly BoardTask[];
  /** Tasks in the order in which they were validated. */
  validated(): readonly BoardTask[];
  /** Pending tasks with a dependency that will not be met in this run, with its id. */
  doomed(): readonly { readonly task: BoardTask; readonly dependency: string }[];
}

export async function openBoard(tables: Database, runId: string): Promise<Board> {
  const rows = await listTasks(tables, runId);
  const tasks = new Map(rows.map((row) => [row.task_id, fromRow(row)]));
  const order = [...tasks.values()]
    .map(({ schedulable }) => schedulable)
    .toSorted(byUrgency(chainWeights([...tasks.values()].map(({ schedulable }) => schedulable))))
    .map(({ id }) => id);
  const validated = new Set(
    rows.filter(({ state }) => state === "validated").map(({ task_id }) => task_id),
  );
  const get = (taskId: string): BoardTask => {
    const task = tasks.get(taskId);
    if (task === undefined) throw new Error(`no task ${taskId} on the board`);
    return task;
  };
  const pending = (): BoardTask[] => order.map(get).filter(({ row }) => row.state === "pending");
  return {
    get,
    all: () => order.map(get),
    put: (row) => {
      tasks.set(row.task_id, fromRow(row));
      if (row.state === "validated") validated.add(row.task_id);
      else validated.delete(row.task_id);
    },
    ready: () =>
      pending().filter(({ manifest }) => manifest.dependencies.every((id) => isMet(get(id)))),
    validated: () => [...validated].map(get),
    doomed: () =>
      pending().flatMap((task) => {
        const dependency = task.manifest.dependencies.find((id) => isLost(get(id)));
        return dependency === undefined ? [] : [{ task, dependency }];
      }),
  };
}

/** Landed in this run, or in an earlier one. */
function isMet({ row }: BoardTask): boolean {
  return row.state === "complete" || (row.state === "skipped" && row.landed_commit !== null);
}

function isLost({ row }: BoardTask): boolean {
  if (row.state === "failed" || row.state === "needs_human_review") return true;
  return row.state === "skipped" && row.landed_commit === null;
}

function fromRow(row: TaskRow): BoardTask {
  const manifest = manifestSchema.parse(JSON.parse(row.manifest));
  return { row, manifest, schedulable: schedulableOf(manifest) };
}

export function schedulableOf(manifest: Manifest): Schedulable {
  return {
    id: manifest.id,
    dependencies: manifest.dependencies,
    locks: manifest.locks,
    minutes: manifest.estimated_minutes ?? 1,
  };
}
