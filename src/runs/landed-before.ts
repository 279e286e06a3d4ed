import type { Repository } from "../git/repository.ts";
import { findLandedTasks } from "../store/landed-tasks.ts";
import type { Store } from "../store/store.ts";

export interface LandedBefore {
  readonly runId: string;
  readonly commit: string;
}

export interface LandedBeforeQuery {
  readonly store: Store;
  readonly repository: Repository;
  /** The tip that the new run starts from. */
  readonly tip: string;
  readonly fingerprints: readonly string[];
}

/**
 * Tasks that an earlier run has landed on this very branch, by fingerprint: the same manifest and
 * spec are not worked on twice. The branch's history has the last word, so what was reverted by a
 * reset is done again.
 */
export async function findLandedBefore(
  query: LandedBeforeQuery,
): Promise<ReadonlyMap<string, LandedBefore>> {
  const { store, repository, tip } = query;
  const found = new Map<string, LandedBefore>();
  const wanted = new Set(query.fingerprints);
  const landed = await findLandedTasks(store.tables, repository.gitDir);
  const candidates = landed.filter(({ fingerprint }) => wanted.has(fingerprint));
  const byRun = Map.groupBy(candidates, ({ run_id }) => run_id);
  for (const [runId, tasks] of byRun) {
    const base = tasks[0]?.base_commit ?? tip;
    if ((await repository.readCommit(base)) === null) continue;
    const history = await repository.findLanded({ from: base, to: tip });
    const commits = new Map(
      history.filter(({ run }) => run === runId).map(({ task, commit }) => [task, commit]),
    );
    for (const { fingerprint, task_id } of tasks) {
      const commit = commits.get(task_id);
      if (commit !== undefined) found.set(fingerprint, { runId, commit });
    }
  }
  return found;
}
