import type { Generated } from "kysely";
import type { RunState } from "../domain/run.ts";
import type { TaskState } from "../domain/task.ts";

/**
 * One row type a table. Times are RFC 3339 in UTC; JSON is text; a boolean is 0 or 1: the common
 * ground of SQLite and PostgreSQL.
 */
export interface Tables {
  schema_migrations: { version: number; name: string; applied_at: string };
  runs: RunsTable;
  tasks: TasksTable;
  attempts: AttemptsTable;
  landings: LandingsTable;
  landing_commits: LandingCommitsTable;
  events: EventsTable;
  leases: LeasesTable;
  swarms: SwarmsTable;
  swarm_tasks: SwarmTasksTable;
  teams: TeamsTable;
  team_messages: TeamMessagesTable;
  team_deliveries: TeamDeliveriesTable;
}

export interface RunsTable {
  id: string;
  /** The repository's common git directory: what the run lease is named after. */
  repository: string;
  /** Where the configuration file lies, so that `resume` finds it from anywhere. */
  config_path: string;
  branch: string;
  base_commit: string;
  status: RunState;
  stop_reason: string | null;
  stop_message: string | null;
  agent: string;
  workspace_kind: string;
  max_parallel: number;
  started_at: string;
  ended_at: string | null;
}

export interface TasksTable {
  run_id: string;
  task_id: string;
  ordinal: number;
  name: string;
  state: TaskState;
  /** Folder of the manifest, for rescopes to write back to. */
  folder: string | null;
  manifest: string;
  spec: string;
  /** SHA-256 of manifest and spec: by it a later run knows what has landed already. */
  fingerprint: string;
  /** Attempts made, over the whole life of the run. */
  attempts: number;
  /** Attempts that count against `max_attempts`; set back when the task is reopened. */
  tries: number;
  /** What the next attempt should know of the one before. */
  feedback: string | null;
  /** The attempt whose workspace the next one goes on in; `null` starts afresh. */
  continue_token: number | null;
  /** What a validated task would land: the worker's commit and the base it stands on. */
  source_commit: string | null;
  source_base: string | null;
  landed_commit: string | null;
  /** Why it failed, was skipped or waits for a person. */
  reason: string | null;
  message: string | null;
  started_at: string | null;
  ended_at: string | null;
}

export type AttemptStatus = "running" | "validated" | "rejected" | "lost" | "interrupted";

export interface AttemptsTable {
  /** Grows over all runs and is never issued twice: the fence of whatever an attempt brings back. */
  token: Generated<number>;
  run_id: string;
  task_id: string;
  number: number;
  status: AttemptStatus;
  reason: string | null;
  base_commit: string;
  source_commit: string | null;
  agent: string;
  workspace_id: string;
  /** 1 once the agent has told anything of its usage; until then the figures below mean nothing. */
  usage_reported: Generated<number>;
  input_tokens: Generated<number>;
  cached_input_tokens: Generated<number>;
  output_tokens: Generated<number>;
  reasoning_output_tokens: Generated<number>;
  /** `null` where nobody knows. */
  cost_usd: Generated<number | null>;
  /** Verdicts of its gates, as JSON, for the receipt. */
  verdicts: Generated<string>;
  started_at: string;
  ended_at: string | null;
}

export type LandingStatus = "intended" | "landed" | "abandoned";

export interface LandingsTable {
  id: Generated<number>;
  run_id: string;
  status: LandingStatus;
  base_commit: string;
  tip_commit: string;
  created_at: string;
  settled_at: string | null;
}

export interface LandingCommitsTable {
  landing_id: number;
  run_id: string;
  task_id: string;
  token: number;
  commit_id: string;
}

export interface EventsTable {
  seq: Generated<number>;
  run_id: string;
  task_id: string | null;
  attempt: number | null;
  workspace_id: string | null;
  ticket_id: string | null;
  type: string;
  ts: string;
  v: number;
  payload: string;
}

export interface LeasesTable {
  name: string;
  /** Grows with every change of owner. */
  token: number;
  /** Who holds it, as JSON: host, process and its identity, and what for. */
  holder: string;
  /** RFC 3339 by the store's clock. */
  expires_at: string;
}

export interface SwarmsTable {
  id: string;
  state: "running" | "complete" | "failed" | "cancelled";
  /** Who asked, as JSON. */
  owner: string;
  /** All that was asked for, with what the vault answered, as JSON. */
  request: string;
  cancel_requested: Generated<number>;
  /** What was about to land, as JSON, written before the target is touched. */
  merge_intent: string | null;
  /** How the last merge ended, as JSON. */
  merge: string | null;
  message: string | null;
  started_at: string;
  ended_at: string | null;
}

export interface SwarmTasksTable {
  swarm_id: string;
  ordinal: number;
  name: string;
  state: "pending" | "running" | "succeeded" | "failed" | "cancelled";
  /** Tries so far; each has a worker of its own. */
  attempt: Generated<number>;
  /** Written before the worker is made. */
  worker: string | null;
  worker_state: Generated<"none" | "made" | "kept" | "destroyed">;
  /** The commit that the worker began at; `null` where it has no repository. */
  base: string | null;
  /** What became of a success: `unmerged` has to stay where it is. */
  work: Generated<"open" | "merged" | "unmerged">;
  /** The folder on the host with work that was not merged. */
  rescued: string | null;
  /** How its command ended and what it said, as JSON. */
  outcome: string | null;
  error: string | null;
}

export interface TeamsTable {
  name: string;
  /** `making` until all of its workspaces are there. */
  state: "making" | "ready" | "removing";
  /** Who made it, as JSON. */
  owner: string;
  parent: string | null;
  /** Members, their workspaces and limits, as JSON. */
  spec: string;
  created_at: string;
}

/** Messages with an id of their sender's, also when they were received: each is sent once. */
export interface TeamDeliveriesTable {
  team: string;
  sender: string;
  key: string;
  sent_at: string;
}

export interface TeamMessagesTable {
  /** Grows, so that messages are received in the order in which they were sent. */
  id: Generated<number>;
  team: string;
  sender: string;
  recipient: string;
  type: string;
  content: string;
  sent_at: string;
}
