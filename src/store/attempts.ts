import type { Insertable, Selectable } from "kysely";
import type { GateVerdict } from "../domain/gate.ts";
import type { Usage } from "../domain/usage.ts";
import type { Change, Database } from "./store.ts";
import type { AttemptsTable, AttemptStatus } from "./tables.ts";

export type AttemptRow = Selectable<AttemptsTable>;

/** Opens an attempt and answers its token. */
export async function insertAttempt(
  change: Change,
  attempt: Pick<
    Insertable<AttemptsTable>,
    "run_id" | "task_id" | "number" | "base_commit" | "agent" | "workspace_id"
  >,
): Promise<number> {
  const { token } = await change.tables
    .insertInto("attempts")
    .values({ ...attempt, status: "running", started_at: change.now })
    .returning("token")
    .executeTakeFirstOrThrow();
  return token;
}

/** Sets what an attempt has used so far: the whole of it, not what was added. */
export async function setUsage(change: Change, token: number, usage: Usage): Promise<void> {
  const values = { ...usage, usage_reported: 1 };
  await change.tables.updateTable("attempts").set(values).where("token", "=", token).execute();
}

export interface AttemptEnd {
  readonly token: number;
  readonly status: Exclude<AttemptStatus, "running">;
  readonly reason: string;
  readonly sourceCommit: string | null;
  readonly verdicts: readonly GateVerdict[];
}

/** Closes an attempt; false when it was closed already, so that a late result is never accepted. */
export async function closeAttempt(change: Change, end: AttemptEnd): Promise<boolean> {
  const result = await change.tables
    .updateTable("attempts")
    .set({
      status: end.status,
      reason: end.reason,
      source_commit: end.sourceCommit,
      // The output stands in the events, redacted; receipts need its digest alone.
      verdicts: JSON.stringify(end.verdicts.map((verdict) => ({ ...verdict, outputTail: "" }))),
      ended_at: change.now,
    })
    .where("token", "=", end.token)
    .where("status", "=", "running")
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

export async function listAttempts(
  tables: Database,
  runId: string,
): Promise<readonly AttemptRow[]> {
  return tables
    .selectFrom("attempts")
    .selectAll()
    .where("run_id", "=", runId)
    .orderBy("token")
    .execute();
}

export async function listOpenAttempts(
  tables: Database,
  runId: string,
): Promise<readonly AttemptRow[]> {
  return tables
    .selectFrom("attempts")
    .selectAll()
    .where("run_id", "=", runId)
    .where("status", "=", "running")
    .orderBy("token")
    .execute();
}

/** The attempt that a validated task is landed from. */
export async function findAttempt(
  tables: Database,
  key: { readonly runId: string; readonly taskId: string; readonly number: number },
): Promise<AttemptRow | undefined> {
  return tables
    .selectFrom("attempts")
    .selectAll()
    .where("run_id", "=", key.runId)
    .where("task_id", "=", key.taskId)
    .where("number", "=", key.number)
    .executeTakeFirst();
}
