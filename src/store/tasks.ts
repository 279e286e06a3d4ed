import type { Insertable, Selectable, Updateable } from "kysely";
import { moveTask, type TaskMove, type TaskState } from "../domain/task.ts";
import type { Change, Database } from "./store.ts";
import type { TasksTable } from "./tables.ts";

export type TaskRow = Selectable<TasksTable>;

export async function insertTasks(
  change: Change,
  tasks: readonly Pick<
    Insertable<TasksTable>,
    "run_id" | "task_id" | "ordinal" | "name" | "folder" | "manifest" | "spec" | "fingerprint"
  >[],
): Promise<void> {
  const rows = tasks.map((task) => ({ ...NEW_TASK, ...task }));
  for (let start = 0; start < rows.length; start += INSERT_ROWS_MAX) {
    await change.tables
      .insertInto("tasks")
      .values(rows.slice(start, start + INSERT_ROWS_MAX))
      .execute();
  }
}

/** Databases limit the parameters of one statement. */
const INSERT_ROWS_MAX = 100;

const NEW_TASK = {
  state: "pending" as TaskState,
  attempts: 0,
  tries: 0,
  feedback: null,
  continue_token: null,
  source_commit: null,
  source_base: null,
  landed_commit: null,
  reason: null,
  message: null,
  started_at: null,
  ended_at: null,
};

export async function listTasks(tables: Database, runId: string): Promise<readonly TaskRow[]> {
  return tables
    .selectFrom("tasks")
    .selectAll()
    .where("run_id", "=", runId)
    .orderBy("ordinal")
    .execute();
}

export interface TaskKey {
  readonly runId: string;
  readonly taskId: string;
}

/** Moves a task along its diagram and answers the row. An illegal move is a bug. */
export async function moveTaskIn(
  change: Change,
  key: TaskKey,
  move: TaskMove,
  values: Updateable<TasksTable> = {},
): Promise<TaskRow> {
  const row = await taskRow(change, key);
  const moved = moveTask(row.state, move);
  if (!moved.ok) throw new Error(`task ${key.taskId} cannot ${move} while ${row.state}`);
  return updateTaskIn(change, key, { ...values, state: moved.value });
}

export async function updateTaskIn(
  change: Change,
  key: TaskKey,
  values: Updateable<TasksTable>,
): Promise<TaskRow> {
  const { feedback, message } = values;
  return change.tables
    .updateTable("tasks")
    .set({
      ...values,
      ...(typeof feedback === "string" && { feedback: change.redact(feedback) }),
      ...(typeof message === "string" && { message: change.redact(message) }),
    })
    .where("run_id", "=", key.runId)
    .where("task_id", "=", key.taskId)
    .returningAll()
    .executeTakeFirstOrThrow();
}

async function taskRow(change: Change, key: TaskKey): Promise<TaskRow> {
  return change.tables
    .selectFrom("tasks")
    .selectAll()
    .where("run_id", "=", key.runId)
    .where("task_id", "=", key.taskId)
    .executeTakeFirstOrThrow();
}
