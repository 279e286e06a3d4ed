import type { Usage } from "../domain/usage.ts";
import type { Workspace } from "../workspaces/workspace.ts";
import type { Manifest } from "../domain/task.ts";

/** Everything an agent can tell while it works. The union is the whole contract with the hive. */
export type AgentEvent =
  | { readonly kind: "started"; readonly session: string | null }
  | { readonly kind: "text"; readonly stream: "stdout" | "stderr"; readonly text: string }
  | { readonly kind: "tool"; readonly name: string; readonly summary: string }
  /** Used since the last report; never cumulative. */
  | { readonly kind: "usage"; readonly usage: Usage }
  /** The vendor's quota is used up. `resetsAt` is RFC 3339, where it is known. */
  | { readonly kind: "quota"; readonly resetsAt: string | null; readonly message: string }
  | {
      readonly kind: "ended";
      readonly reason: AgentEnding;
      readonly exitCode: number | null;
      readonly message: string;
    };

/** `completed` says that the agent believes to be done: gates decide. */
export type AgentEnding =
  | "completed"
  | "failed"
  | "timed-out"
  | "aborted"
  | "program-missing"
  | "protocol-broken";

export interface AgentTask {
  readonly runId: string;
  readonly taskId: string;
  /** Grows with each try at the task, from 1. */
  readonly attempt: number;
  readonly manifest: Manifest;
  readonly spec: string;
  /** What went wrong in the try before, for the agent to read; `null` on a first try. */
  readonly feedback: string | null;
  readonly base: string;
  readonly workspace: Workspace;
  /** Files that the hive wrote for the agent, as paths inside the workspace. */
  readonly specFile: string;
  readonly manifestFile: string;
  readonly feedbackFile: string | null;
  readonly timeoutMs: number;
  /** Aborted when the run stops or a budget is spent. */
  readonly signal: AbortSignal;
}

/**
 * Does a task in a workspace.
 *
 * The iterator yields exactly one `ended`, as its last event, and does not throw: whatever goes
 * wrong is an `ended` with its reason. When `signal` is aborted it ends soon, with nothing of the
 * agent left running.
 */
export interface Agent {
  readonly name: string;
  /** False for agents that cannot tell what they used: block-mode budgets refuse those. */
  readonly reportsUsage: boolean;
  work(task: AgentTask): AsyncIterable<AgentEvent>;
}
