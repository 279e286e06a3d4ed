import { z } from "zod";
import { Refusal } from "../../../domain/failure.ts";
import { isAlive } from "../../../lib/process.ts";
import {
  operationErrorSchema,
  readOperation,
  type OperationRecord,
} from "../../detached/operation-record.ts";
import type { OperationContext } from "../../operation.ts";
import { defineTool } from "./shapes.ts";

const ID_LENGTH_MAX = 100;
const WAIT_SECONDS_MAX = 3_600;
const WAIT_SECONDS = 50;
const POLL_MS = 50;

const operationId = z
  .string()
  .min(1)
  .max(ID_LENGTH_MAX)
  .describe("As a call with detached: true answered it");

export const detachedSchema = z.strictObject({
  operation_id: z.string(),
  tool: z.string(),
  state: z.enum(["starting", "running", "done", "failed", "cancelled"]),
  started_at: z.string(),
  ended_at: z.string().nullable(),
  progress: z
    .strictObject({ done: z.number(), total: z.number().nullable(), message: z.string() })
    .nullable(),
  /** What the tool itself would have answered. */
  result: z.unknown(),
  error: operationErrorSchema.nullable(),
});

export type ShownOperation = z.output<typeof detachedSchema>;

export function shownOperation(record: OperationRecord): ShownOperation {
  const { id, tool, state, started_at, ended_at, progress, result, error } = record;
  return {
    operation_id: id,
    // As agents know it, whatever list it stands in.
    tool: tool.replace(/^tool\./, "").replaceAll(".", "_"),
    state,
    started_at,
    ended_at,
    progress,
    result: result ?? null,
    error,
  };
}

function operationAtHand({ environment }: OperationContext, id: string): OperationRecord {
  const record = readOperation(environment.home, id);
  if (record !== null) return record;
  throw new Refusal("operation-missing", `there is no operation ${JSON.stringify(id)}`, {
    hint: "a call with detached: true answers the id of one",
    details: { operation_id: id },
  });
}

export const toolOperationStatus = defineTool({
  name: "operation_status",
  summary: "Show how far a detached call has come, and what it answered",
  does: "reads",
  input: z.strictObject({ operation_id: operationId }),
  output: detachedSchema,
  run: async (context, { operation_id: id }) => shownOperation(operationAtHand(context, id)),
});

function isOver({ state }: OperationRecord): boolean {
  return state === "done" || state === "failed" || state === "cancelled";
}

export const toolOperationWait = defineTool({
  name: "operation_wait",
  summary: "Wait until a detached call has ended, or until the time is over",
  does: "reads",
  input: z.strictObject({
    operation_id: operationId,
    timeout_secs: z.number().min(0).max(WAIT_SECONDS_MAX).default(WAIT_SECONDS),
  }),
  output: detachedSchema,
  run: async (context, { operation_id: id, timeout_secs: seconds }) => {
    const { clock, signal, onProgress } = context;
    const deadline = clock.monotonic() + seconds * 1000;
    let record = operationAtHand(context, id);
    let told = record.progress;
    while (!isOver(record) && clock.monotonic() < deadline && !signal.aborted) {
      await clock.sleep(POLL_MS, signal);
      record = operationAtHand(context, id);
      const { progress } = record;
      if (progress === null || progress.message === told?.message) continue;
      told = progress;
      onProgress?.(progress.done, progress.total, progress.message);
    }
    return shownOperation(record);
  },
});

export const toolOperationCancel = defineTool({
  name: "operation_cancel",
  summary: "Ask a detached call to stop; operation_wait tells when it has",
  does: "destroys",
  input: z.strictObject({ operation_id: operationId }),
  output: detachedSchema,
  run: async (context, { operation_id: id }) => {
    const record = operationAtHand(context, id);
    // Until it runs, the process in its record is the one that started it.
    const runner = record.state === "running" ? record.process : null;
    const identity = runner?.identity ?? null;
    if (runner !== null && identity !== null && isAlive(runner.pid, identity)) {
      process.kill(runner.pid, "SIGTERM");
    }
    return shownOperation(operationAtHand(context, id));
  },
});
