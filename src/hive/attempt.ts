import type { Agent } from "../agents/agent.ts";
import type { NewEvent } from "../domain/event.ts";
import type { GateVerdict } from "../domain/gate.ts";
import type { StopReason } from "../domain/run.ts";
import type { Manifest } from "../domain/task.ts";
import type { Prices, Usage } from "../domain/usage.ts";
import type { BudgetLedger } from "../gates/budget.ts";
import type { CommandGate } from "../gates/command.ts";
import type { Resource } from "../gates/manifest.ts";
import type { WorkspaceProvider, WorkspaceSeed } from "../workspaces/workspace.ts";

/** One agent, one workspace, one try at a task: everything that it needs to know. */
export interface AttemptOrder {
  readonly runId: string;
  readonly taskId: string;
  readonly number: number;
  readonly token: number;
  readonly manifest: Manifest;
  readonly spec: string;
  readonly feedback: string | null;
  readonly base: string;
  readonly seed: WorkspaceSeed;
  readonly workspaceId: string;
  /** True when the workspace of the try before is gone on in. */
  readonly continues: boolean;
}

/** What the attempts of a run share. */
export interface AttemptMeans {
  readonly provider: WorkspaceProvider;
  readonly agent: Agent;
  readonly env: Readonly<Record<string, string>>;
  readonly rules: AttemptRules;
  readonly ledger: BudgetLedger;
  /** Aborted when the run stops. */
  readonly signal: AbortSignal;
  /** Records events of this attempt; resolves when they are durable. */
  readonly record: (events: readonly NewEvent[]) => Promise<void>;
  /** Adds to what the attempt has used, durably. */
  readonly recordUsage: (usage: Usage) => Promise<void>;
  /** For agents that count tokens and name no cost. */
  readonly prices: Prices | undefined;
  /** Brings the worker's bundle in and answers what it changes. Runs nothing of the worker's. */
  readonly bringIn: (bundle: string, head: string) => Promise<BroughtIn>;
  /** Runs one gate on the base, once for each base and command, to see whether it fails there too. */
  readonly judgeOnBase: (base: string, gate: CommandGate) => Promise<GateVerdict>;
}

export interface AttemptRules {
  readonly bootstrap: readonly CommandGate[];
  readonly gates: (manifest: Manifest) => readonly CommandGate[];
  readonly resources: readonly Resource[];
  readonly enforcement: "off" | "warn" | "block";
  readonly autoRescope: boolean;
  readonly agentTimeoutMs: number;
}

export type BroughtIn =
  | { readonly kind: "imported"; readonly paths: readonly string[] }
  | { readonly kind: "refused"; readonly message: string };

/** How an attempt ended, and with it what becomes of its task. */
export type AttemptOutcome =
  | {
      readonly kind: "validated";
      /** `null` where nothing was to be changed, and nothing was. */
      readonly commit: string | null;
      readonly files: number;
      readonly verdicts: readonly GateVerdict[];
    }
  | {
      readonly kind: "rejected";
      readonly reason: string;
      readonly feedback: string;
      /** Whether the next try goes on where this one stopped. */
      readonly keepWorkspace: boolean;
      readonly verdicts: readonly GateVerdict[];
      readonly rescoped?: Manifest;
    }
  /** The run cannot go on: nobody's fault that another try would mend. */
  | {
      readonly kind: "stopped";
      readonly reason: StopReason;
      readonly message: string;
      readonly hint: string;
      readonly verdicts: readonly GateVerdict[];
    }
  | { readonly kind: "interrupted" };
