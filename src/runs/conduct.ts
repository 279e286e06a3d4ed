import type { Config } from "../config/resolve.ts";
import type { Store } from "../store/store.ts";
import type { Repository } from "../git/repository.ts";
import type { Agent } from "../agents/agent.ts";
import type { WorkspaceProvider } from "../workspaces/workspace.ts";
import { STOP_REASONS } from "../domain/run.ts";
import { openBudgetLedger } from "../gates/budget.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { listAttempts } from "../store/attempts.ts";
import type { Lease } from "../store/leases.ts";
import { moveRunIn, type RunRow } from "../store/runs.ts";
import { openBoard } from "./board.ts";
import { execute } from "./executor.ts";
import { openJournalFiles } from "./journal-files.ts";
import { keepLease } from "./lease-keeper.ts";
import { makeStopper, type RunContext, type Stop } from "./run-context.ts";
import { openSnapshot } from "./snapshot.ts";

/** What a run is conducted with: the concrete parts, put together by the composition root. */
export interface RunParts {
  readonly home: string;
  readonly config: Config;
  readonly store: Store;
  readonly repository: Repository;
  readonly provider: WorkspaceProvider;
  readonly agents: (name: string) => Agent;
  readonly workEnv: Readonly<Record<string, string>>;
  readonly version: string;
  /** Aborted with the name of the signal as its reason. */
  readonly signal: AbortSignal;
}

export interface RunEnding {
  readonly runId: string;
  readonly exitCode: number;
}

/** How often `state.json` is rewritten at the most. */
const SNAPSHOT_INTERVAL_MS = 500;

/**
 * Conducts a recorded run from where it stands to its end, whatever that is, and records the end.
 * `before` brings record and world together first, where the run had another life.
 */
export async function conductRun(
  parts: RunParts,
  run: RunRow,
  lease: Lease,
  before: (context: RunContext) => Promise<void>,
): Promise<RunEnding> {
  const { store, home } = parts;
  const context = await openContext(parts, run, lease);
  const journal = await openJournalFiles({ store, home, runId: run.id });
  const snapshot = await openSnapshot({
    store,
    home,
    runId: run.id,
    minIntervalMs: SNAPSHOT_INTERVAL_MS,
  });
  const keeper = keepLease(store, lease, () => context.stop.request(LEASE_LOST));
  const interrupt = (): void => context.stop.request(interruption(parts.signal.reason));
  if (parts.signal.aborted) interrupt();
  parts.signal.addEventListener("abort", interrupt);
  try {
    return await conduct(context, before);
  } finally {
    parts.signal.removeEventListener("abort", interrupt);
    await keeper.close();
    await parts.repository.close();
    await snapshot.close();
    await journal.close();
  }
}

const LEASE_LOST: Stop = {
  reason: "internal",
  message: "the run's lease was lost to another process",
  hint: "see `mycelium status`; the other process goes on with the repository",
};

function interruption(signal: unknown): Stop {
  const terminated = signal === "SIGTERM";
  return {
    reason: terminated ? "terminated" : "interrupted",
    message: `stopped by ${terminated ? "SIGTERM" : "SIGINT"}`,
    hint: "`mycelium resume` goes on from here",
  };
}

async function openContext(parts: RunParts, run: RunRow, lease: Lease): Promise<RunContext> {
  const { store, config } = parts;
  const attempts = await listAttempts(store.tables, run.id);
  const used = attempts.map((attempt) => ({ taskId: attempt.task_id, usage: attempt }));
  return {
    runId: run.id,
    config,
    store,
    repository: parts.repository,
    provider: parts.provider,
    agents: parts.agents,
    agentName: run.agent,
    width: run.max_parallel,
    workEnv: parts.workEnv,
    ledger: openBudgetLedger(config.budgets, used),
    lease,
    board: await openBoard(store.tables, run.id),
    stop: makeStopper(),
    version: parts.version,
  };
}

async function conduct(
  context: RunContext,
  before: (context: RunContext) => Promise<void>,
): Promise<RunEnding> {
  await before(context);
  const tip = await context.repository.branchTip(context.config.main_branch);
  if (tip === null) throw new Error(`branch ${context.config.main_branch} is gone`);
  try {
    await execute(context, tip.commit);
  } finally {
    await settleRun(context);
  }
  crashPoint("run.settled");
  await removeWorkspaces(context);
  const stop = context.stop.reason() ?? failureOf(context);
  const exitCode = stop === null ? 0 : STOP_REASONS[stop.reason].exitCode;
  return { runId: context.runId, exitCode };
}

/** After a success nothing is left to look at; tries that failed on the way there included. */
async function removeWorkspaces(context: RunContext): Promise<void> {
  const { provider, config, runId } = context;
  if (context.stop.reason() !== null || failureOf(context) !== null) return;
  if (config.cleanup.workspaces === "never") return;
  const ids = await provider.list();
  for (const id of ids.filter((known) => known.startsWith(`${runId}.`))) {
    // Whatever cannot be removed now is `clean`'s.
    await provider.remove(id).catch(() => undefined);
  }
}

/** Tasks that did not land fail the run, even though every other one did. */
function failureOf(context: RunContext): Stop | null {
  const left = context.board
    .all()
    .filter(({ row }) => row.state !== "complete" && row.landed_commit === null);
  if (left.length === 0) return null;
  const ids = left.map(({ row }) => row.task_id).join(", ");
  return {
    reason: "task-failed",
    message: `${left.length} of ${context.board.all().length} tasks did not land: ${ids}`,
    hint: "`mycelium logs failures` says why; `mycelium resume` tries them again",
  };
}

async function settleRun(context: RunContext): Promise<void> {
  const { store, runId, repository, config } = context;
  const stop = context.stop.reason() ?? failureOf(context);
  const tip = await repository.branchTip(config.main_branch);
  const landed = context.board.all().filter(({ row }) => row.state === "complete").length;
  await store.record(async (change) => {
    if (stop === null) {
      const payload = { landed, tip: tip?.commit ?? "" };
      await change.event(runId, { type: "run.completed", payload });
      return moveRunIn(change, runId, "complete");
    }
    const { move } = STOP_REASONS[stop.reason];
    await change.event(runId, {
      type: move === "pause" ? "run.paused" : "run.failed",
      payload: { ...stop },
    });
    return moveRunIn(change, runId, move, stop);
  });
}
