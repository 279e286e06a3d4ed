import type { Agent } from "../agents/agent.ts";
import type { Config } from "../config/resolve.ts";
import type { StopReason } from "../domain/run.ts";
import type { BudgetLedger } from "../gates/budget.ts";
import type { Repository } from "../git/repository.ts";
import type { Store } from "../store/store.ts";
import type { Lease } from "../store/leases.ts";
import type { WorkspaceProvider, WorkspaceSeed } from "../workspaces/workspace.ts";
import type { Board } from "./board.ts";

/** Everything that the parts of one run share while this process holds its lease. */
export interface RunContext {
  readonly runId: string;
  readonly config: Config;
  readonly store: Store;
  readonly repository: Repository;
  readonly provider: WorkspaceProvider;
  readonly agents: (name: string) => Agent;
  readonly agentName: string;
  readonly width: number;
  /** The environment of everything that runs in a workspace, before its own additions. */
  readonly workEnv: Readonly<Record<string, string>>;
  readonly ledger: BudgetLedger;
  readonly lease: Lease;
  readonly board: Board;
  /** Stops the run; the first reason stands. */
  readonly stop: RunStopper;
  readonly version: string;
}

export interface Stop {
  readonly reason: StopReason;
  readonly message: string;
  readonly hint: string;
}

/** The one way in which a run is ended before its work is done. */
export interface RunStopper {
  readonly signal: AbortSignal;
  reason(): Stop | null;
  request(stop: Stop): void;
}

export function makeStopper(): RunStopper {
  const controller = new AbortController();
  let first: Stop | null = null;
  return {
    signal: controller.signal,
    reason: () => first,
    request: (stop) => {
      first ??= stop;
      controller.abort();
    },
  };
}

/** Where a run keeps what has not landed yet. */
export function runRefs(runId: string): string {
  return `refs/mycelium/runs/${runId}`;
}

/** The ref that keeps a task's commits until they have landed. */
export function taskRef(runId: string, taskId: string): string {
  return `${runRefs(runId)}/${taskId}`;
}

/** A workspace for gates alone. No task's id begins with `_`, so none is called like it. */
export function gateWorkspaceId(runId: string, purpose: string): string {
  return `${runId}._${purpose}`;
}

/** Where a commit is worked on or proved: a private clone of the run's repository. */
export function seedAt(context: RunContext, commit: string, branch: string): WorkspaceSeed {
  const { gitDir, objectFormat } = context.repository;
  return { gitDir, objectFormat, commit, branch };
}
