import type { Selectable } from "kysely";
import type { Change, Database } from "./store.ts";
import type { LandingCommitsTable, LandingsTable } from "./tables.ts";

export type LandingRow = Selectable<LandingsTable>;
export type LandingCommitRow = Selectable<LandingCommitsTable>;

export interface LandingIntent {
  readonly runId: string;
  readonly base: string;
  readonly tip: string;
  readonly commits: readonly {
    readonly taskId: string;
    readonly token: number;
    readonly commit: string;
  }[];
}

/** Written before the branch moves: after a crash it says what to look for. */
export async function insertIntent(change: Change, intent: LandingIntent): Promise<number> {
  const { id } = await change.tables
    .insertInto("landings")
    .values({
      run_id: intent.runId,
      status: "intended",
      base_commit: intent.base,
      tip_commit: intent.tip,
      created_at: change.now,
      settled_at: null,
    })
    .returning("id")
    .executeTakeFirstOrThrow();
  await change.tables
    .insertInto("landing_commits")
    .values(
      intent.commits.map(({ taskId, token, commit }) => ({
        landing_id: id,
        run_id: intent.runId,
        task_id: taskId,
        token,
        commit_id: commit,
      })),
    )
    .execute();
  return id;
}

export async function settleLanding(
  change: Change,
  id: number,
  status: "landed" | "abandoned",
): Promise<void> {
  await change.tables
    .updateTable("landings")
    .set({ status, settled_at: change.now })
    .where("id", "=", id)
    .where("status", "=", "intended")
    .executeTakeFirstOrThrow();
}

export async function listOpenLandings(
  tables: Database,
  runId: string,
): Promise<readonly { landing: LandingRow; commits: readonly LandingCommitRow[] }[]> {
  const landings = await tables
    .selectFrom("landings")
    .selectAll()
    .where("run_id", "=", runId)
    .where("status", "=", "intended")
    .orderBy("id")
    .execute();
  return Promise.all(
    landings.map(async (landing) => ({
      landing,
      commits: await tables
        .selectFrom("landing_commits")
        .selectAll()
        .where("landing_id", "=", landing.id)
        .execute(),
    })),
  );
}
