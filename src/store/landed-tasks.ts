import type { Database } from "./store.ts";

export interface LandedTask {
  readonly run_id: string;
  readonly task_id: string;
  readonly fingerprint: string;
  /** Where the run began: its commits stand above it. */
  readonly base_commit: string;
}

/** What all runs on a repository have landed so far. */
export async function findLandedTasks(
  tables: Database,
  repository: string,
): Promise<readonly LandedTask[]> {
  return tables
    .selectFrom("tasks")
    .innerJoin("runs", "runs.id", "tasks.run_id")
    .select(["tasks.run_id", "tasks.task_id", "tasks.fingerprint", "runs.base_commit"])
    .where("runs.repository", "=", repository)
    .where("tasks.state", "=", "complete")
    .where("tasks.landed_commit", "is not", null)
    .execute();
}
