import { listAttempts, type AttemptRow } from "../store/attempts.ts";
import { listTasks, type TaskRow } from "../store/tasks.ts";
import type { Store } from "../store/store.ts";
import { holdsWork } from "../workspaces/unlanded-work.ts";
import type { WorkspaceFinder } from "../workspaces/workspace.ts";

export interface LossSearch {
  readonly store: Store;
  readonly runId: string;
  readonly provider: WorkspaceFinder;
  readonly workEnv: Readonly<Record<string, string>>;
  /** The run's workspaces that are still there. */
  readonly workspaces: readonly string[];
}

/** How long one workspace may take to answer; one that does not is taken to hold work. */
const LOOK_TIMEOUT_MS = 60_000;

/** What exists nowhere but in what is about to be removed, as sentences for people. */
export async function findLosses(search: LossSearch): Promise<readonly string[]> {
  const { store, runId } = search;
  const tasks = await listTasks(store.tables, runId);
  const unlanded = tasks.filter((task) => !hasLanded(task));
  const losses = unlanded
    .filter(({ state }) => state === "validated")
    .map(({ task_id }) => `task ${task_id} passed its gates and has not landed`);
  const byWorkspace = Map.groupBy(
    await listAttempts(store.tables, runId),
    ({ workspace_id }) => workspace_id,
  );
  for (const id of search.workspaces) {
    const attempt = byWorkspace.get(id)?.at(-1);
    const task = unlanded.find(({ task_id }) => task_id === attempt?.task_id);
    if (attempt === undefined || task === undefined) continue;
    if (await workspaceHoldsWork(search, attempt)) {
      losses.push(`workspace ${id} holds work of task ${task.task_id}, which is ${task.state}`);
    }
  }
  return losses;
}

function hasLanded(task: TaskRow): boolean {
  return task.state === "complete" || task.landed_commit !== null;
}

/** A workspace that is only half made was never worked in. */
async function workspaceHoldsWork(search: LossSearch, attempt: AttemptRow): Promise<boolean> {
  const { provider, workEnv: env } = search;
  const workspace = await provider.find({ id: attempt.workspace_id, env });
  if (workspace === null) return false;
  return holdsWork(workspace, { base: attempt.base_commit, timeoutMs: LOOK_TIMEOUT_MS });
}
