import { Refusal } from "../../domain/failure.ts";
import { timestamp } from "../../lib/clock.ts";
import { processIdentity, startDetached, type Detached } from "../../lib/process.ts";
import type { Environment } from "../../config/environment.ts";
import type { Operation, OperationContext } from "../operation.ts";
import { checkShape, listProblems } from "../../domain/problem.ts";
import {
  newOperationId,
  readOperation,
  writeOperation,
  type OperationRecord,
} from "./operation-record.ts";

/** What the runner is told on its standard input. */
export interface RunnerOrder {
  readonly home: string;
  readonly id: string;
  readonly cwd: string;
  readonly configFile: string | null;
  readonly defaultKind: string | null;
  readonly version: string;
}

/** Beside this file, as a source or built. */
const RUNNER = import.meta.filename.replace(/start-detached(\.[jt]s)$/, "operation-runner$1");

const BEGIN_WAIT_MS = 20_000;
const BEGIN_PAUSE_MS = 10;

/**
 * Starts an operation in a process of its own, which goes on when this one ends, and answers its
 * record once that process has it. The input is checked first.
 */
export async function startOperation(
  operation: Operation,
  context: OperationContext,
  input: unknown,
): Promise<OperationRecord> {
  const { environment, session, clock } = context;
  const checked = checkShape(operation.input, input);
  if (!checked.ok) {
    throw new Refusal("usage", `${operation.name}: ${listProblems(checked.problems)}`);
  }
  const { home } = environment;
  const id = newOperationId();
  const record: OperationRecord = {
    version: 1,
    id,
    tool: operation.name,
    session: { ...session },
    input,
    state: "starting",
    started_at: timestamp(clock),
    ended_at: null,
    // Ours until the runner writes its own.
    process: { pid: process.pid, identity: processIdentity(process.pid) },
    progress: null,
    result: null,
    error: null,
  };
  await writeOperation(home, record);
  const order: RunnerOrder = {
    home,
    id,
    cwd: context.cwd,
    configFile: context.configFile ?? null,
    defaultKind: context.defaultKind ?? null,
    version: context.version,
  };
  const runner = await startDetached({
    command: [process.execPath, RUNNER],
    cwd: context.cwd,
    env: passedOn(environment),
    input: JSON.stringify(order),
  });
  if (typeof runner === "string") return failed(context, record, runner);
  const begun = await waitForBegin(context, id, runner);
  return begun ?? failed(context, record, "the process that was to work on it did not begin");
}

const PASSED_ON = [
  "MYCELIUM_CACHE",
  "MYCELIUM_VAULT",
  "MYCELIUM_MERGE_MB",
  "MYCELIUM_CRASH_AT",
  "DOCKER_HOST",
  "TMPDIR",
  "LANG",
  "USER",
];

function passedOn(environment: Environment): Readonly<Record<string, string>> {
  const found = PASSED_ON.flatMap((name) => {
    const value = environment.lookup(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const { path, userHome, home } = environment;
  return { ...Object.fromEntries(found), PATH: path, HOME: userHome, MYCELIUM_HOME: home };
}

async function waitForBegin(
  { clock, environment }: OperationContext,
  id: string,
  runner: Detached,
): Promise<OperationRecord | null> {
  const deadline = clock.monotonic() + BEGIN_WAIT_MS;
  while (clock.monotonic() < deadline) {
    const isRunning = runner.isRunning();
    const record = readOperation(environment.home, id);
    if (record !== null && record.state !== "starting") return record;
    if (!isRunning) return null;
    await clock.sleep(BEGIN_PAUSE_MS);
  }
  return null;
}

async function failed(
  { clock, environment }: OperationContext,
  record: OperationRecord,
  message: string,
): Promise<never> {
  const error = { code: "operation-lost", message, hint: null, details: {} };
  const ended = { ...record, state: "failed" as const, ended_at: timestamp(clock), error };
  await writeOperation(environment.home, ended);
  throw new Refusal("workspace-failed", message, { details: { operation_id: record.id } });
}
