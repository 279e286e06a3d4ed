import { Refusal } from "../domain/failure.ts";
import { findRun, type RunRow } from "./runs.ts";
import type { Store } from "./store.ts";

export interface RunQuery {
  readonly runId?: string | undefined;
  /** Where no run is named: the newest that was started with this configuration file. */
  readonly configPath?: string | undefined;
}

/** The run that is named, or the newest. Refuses where there is none. */
export async function requireRun(store: Store, query: RunQuery): Promise<RunRow> {
  const run =
    query.runId === undefined
      ? await findNewest(store, query.configPath)
      : await findRun(store.tables, query.runId);
  if (run !== undefined) return run;
  throw query.runId === undefined ? noRuns() : noSuchRun(query.runId);
}

/** The refusal of a command that needs a run, where there is none yet. */
export function noRuns(): Refusal {
  return new Refusal("run-missing", "there are no runs yet", {
    hint: "`mycelium run` starts one; `mycelium runs list` shows those of other repositories",
  });
}

export function noSuchRun(runId: string): Refusal {
  return new Refusal("run-missing", `there is no run ${runId}`, {
    hint: "`mycelium runs list` shows all there are",
    details: { run_id: runId },
  });
}

async function findNewest(
  store: Store,
  configPath: string | undefined,
): Promise<RunRow | undefined> {
  let rows = store.tables.selectFrom("runs").selectAll();
  if (configPath !== undefined) rows = rows.where("config_path", "=", configPath);
  return rows.orderBy("started_at", "desc").orderBy("id", "desc").limit(1).executeTakeFirst();
}
