import type { Change } from "./store.ts";

/** Removes every row of a run, its events too. Sequence numbers and tokens are not issued again. */
export async function deleteRunIn({ tables }: Change, runId: string): Promise<void> {
  await tables.deleteFrom("landing_commits").where("run_id", "=", runId).execute();
  await tables.deleteFrom("landings").where("run_id", "=", runId).execute();
  await tables.deleteFrom("attempts").where("run_id", "=", runId).execute();
  await tables.deleteFrom("tasks").where("run_id", "=", runId).execute();
  await tables.deleteFrom("events").where("run_id", "=", runId).execute();
  await tables.deleteFrom("runs").where("id", "=", runId).execute();
}
