import type { Insertable, Selectable } from "kysely";
import { moveRun, type RunMove, type StopReason } from "../domain/run.ts";
import type { Change, Database } from "./store.ts";
import type { RunsTable } from "./tables.ts";

export type RunRow = Selectable<RunsTable>;

export async function insertRun(
  change: Change,
  run: Omit<
    Insertable<RunsTable>,
    "status" | "stop_reason" | "stop_message" | "started_at" | "ended_at"
  >,
): Promise<void> {
  await change.tables
    .insertInto("runs")
    .values({
      ...run,
      status: "running",
      stop_reason: null,
      stop_message: null,
      started_at: change.now,
      ended_at: null,
    })
    .execute();
}

export async function findRun(tables: Database, id: string): Promise<RunRow | undefined> {
  return tables.selectFrom("runs").selectAll().where("id", "=", id).executeTakeFirst();
}

/** Newest first. */
export async function listRuns(tables: Database, limit: number): Promise<readonly RunRow[]> {
  return tables
    .selectFrom("runs")
    .selectAll()
    .orderBy("started_at", "desc")
    .orderBy("id", "desc")
    .limit(limit)
    .execute();
}

export interface RunStop {
  readonly reason: StopReason;
  readonly message: string;
}

/** Moves a run along its diagram. An illegal move is a bug, and ends the process. */
export async function moveRunIn(
  change: Change,
  id: string,
  move: RunMove,
  stop: RunStop | null = null,
): Promise<void> {
  const { status } = await change.tables
    .selectFrom("runs")
    .select("status")
    .where("id", "=", id)
    .executeTakeFirstOrThrow();
  const moved = moveRun(status, move);
  if (!moved.ok) throw new Error(`run ${id} cannot ${move} while ${status}`);
  await change.tables
    .updateTable("runs")
    .set({
      status: moved.value,
      stop_reason: stop?.reason ?? null,
      stop_message: stop === null ? null : change.redact(stop.message),
      ended_at: moved.value === "running" ? null : change.now,
    })
    .where("id", "=", id)
    .execute();
}
