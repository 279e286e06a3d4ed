import { readFileSync } from "node:fs";
import { environmentOfProcess } from "../../config.ts";
import { Refusal } from "../../domain/failure.ts";
import { systemClock, timestamp } from "../../lib/clock.ts";
import { processIdentity } from "../../lib/process.ts";
import type { WorkspaceKind } from "../../workspaces/workspace.ts";
import type { Operation, OperationContext } from "../operation.ts";
import { OPERATIONS, perform } from "../operations.ts";
import { readOperation, writeOperation, type OperationRecord } from "./operation-record.ts";
import type { RunnerOrder } from "./start-detached.ts";

/**
 * The program that works on one detached operation: it outlives the server that started it, and
 * writes down how far it has come and how it ended. SIGTERM cancels.
 */
const order = JSON.parse(readFileSync(0, "utf8")) as RunnerOrder;
const environment = environmentOfProcess({ home: order.home });
const cancelled = new AbortController();
for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => cancelled.abort(name));

const found = readOperation(order.home, order.id);
if (found !== null && found.ended_at === null) await work(found);

async function work(started: OperationRecord): Promise<void> {
  const { pid } = process;
  const runner = { pid, identity: processIdentity(pid) };
  let record: OperationRecord = { ...started, state: "running", process: runner };
  // One write at a time, the newest state each.
  let written = writeOperation(order.home, record);
  const write = (changes: Partial<OperationRecord>): Promise<void> => {
    record = { ...record, ...changes };
    return (written = written.then(() => writeOperation(order.home, record)));
  };
  await written;
  const onProgress = (done: number, total: number | null, message: string): void => {
    void write({ progress: { done, total, message } });
  };
  const ending = await end(record, onProgress);
  await write({ ...ending, ended_at: timestamp(systemClock) });
}

async function end(
  { tool, input, session }: OperationRecord,
  onProgress: NonNullable<OperationContext["onProgress"]>,
): Promise<Pick<OperationRecord, "state" | "result" | "error">> {
  const context: OperationContext = {
    session,
    environment,
    cwd: order.cwd,
    defaultKind: (order.defaultKind ?? undefined) as WorkspaceKind | undefined,
    configFile: order.configFile ?? undefined,
    clock: systemClock,
    signal: cancelled.signal,
    onStart: () => undefined,
    onEvent: () => undefined,
    onProgress,
    version: order.version,
  };
  try {
    const all: readonly Operation[] = Object.values(OPERATIONS);
    const operation = all.find(({ name }) => name === tool);
    if (operation === undefined) throw new Refusal("operation-missing", `there is no ${tool}`);
    const result = await perform(operation, context, input);
    return { state: "done", result, error: null };
  } catch (error) {
    const state = cancelled.signal.aborted ? "cancelled" : "failed";
    if (error instanceof Refusal) {
      const { code, message, hint, details } = error.failure;
      return { state, result: null, error: { code, message, hint, details: { ...details } } };
    }
    const message = error instanceof Error ? error.message : String(error);
    return { state, result: null, error: { code: "bug", message, hint: null, details: {} } };
  }
}
