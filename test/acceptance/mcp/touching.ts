/** What the first session has made, for others to try to touch. */
export interface Owned {
  readonly job: string;
  /** A port that a job of the workspace listens at, and that is open. */
  readonly port: number;
  /** A swarm one of whose tasks failed. */
  readonly swarm: string;
}

/** One way in which a tool can name what is another's. */
export interface Touch {
  readonly tool: string;
  readonly input: (owned: Owned) => Readonly<Record<string, unknown>>;
  /** Of the refusal; `not-owner` where it is left out. */
  readonly code?: "swarm-refused" | "team-refused";
  /** What the owner is told where it cannot be served for a reason of its own. */
  readonly served?: RegExp;
}

const on = { workspace_id: "owned" };
const steal = "echo mine > stolen.txt";

/** With the fields of `workspace_id: "owned"`. */
const at = (tool: string, input: object = {}, served?: RegExp): Touch => ({
  tool,
  input: () => ({ ...on, ...input }),
  ...(served !== undefined && { served }),
});

const swarm = (tool: string, served?: RegExp): Touch => ({
  tool,
  input: ({ swarm: id }) => ({ swarm_id: id }),
  code: "swarm-refused",
  ...(served !== undefined && { served }),
});

const team = (action: string, input: object = {}): Touch => ({
  tool: "team",
  input: () => ({ action, name: "crew", ...input }),
  code: "team-refused",
});

const tasks = [{ name: "steal", command: steal }];
const roles = [{ name: "thief", role: "thief" }];

/**
 * Every tool that names a workspace, a snapshot of one, a job, a port, a swarm or a team, in every way
 * that it can: refused for another session, and served for the one that has taken over. In an order in
 * which each can be served; what ends things comes last.
 */
export const TOUCHES: readonly Touch[] = [
  at("workspace_info"),
  at("workspace_logs"),
  at("exec", { command: steal }),
  { tool: "exec_parallel", input: () => ({ workspace_ids: ["owned"], commands: steal }) },
  { tool: "exec_parallel", input: () => ({ workspace_ids: ["others", "owned"], commands: steal }) },
  at("exec_background", { action: "start", command: steal }),
  { tool: "exec_background", input: ({ job }) => ({ ...on, action: "poll", job_id: job }) },
  { tool: "exec_background", input: ({ job }) => ({ ...on, action: "kill", job_id: job }) },
  at("set_env", { vars: { STOLEN: "1" } }),
  at("file_write", { path: "stolen.txt", content: "mine" }),
  at("file_read", { path: "secret.txt" }),
  at("file_edit", { path: "secret.txt", old_string: "keep", new_string: "stolen" }),
  at("file_list"),
  at("file_transfer", { direction: "download", host_path: "stolen", guest_path: "secret.txt" }),
  at("file_transfer", { direction: "upload", host_path: "stolen", guest_path: "stolen.txt" }),
  at("network_policy"),
  at("network_policy", { allow_internet: true }),
  at("port_forward", { action: "list" }),
  { tool: "port_forward", input: ({ port }) => ({ ...on, action: "remove", guest_port: port }) },
  { tool: "port_forward", input: ({ port }) => ({ ...on, action: "add", guest_port: port }) },
  at("git_status"),
  at("git_diff"),
  at("git_commit", { message: "stolen" }),
  at("git_push"),
  at(
    "git_clone",
    { url: "http://127.0.0.1:9/nothing", path: "cloned" },
    /cannot|could not|failed/i,
  ),
  at("snapshot", { action: "list" }),
  at("snapshot", { action: "restore", name: "base" }),
  at("snapshot", { action: "delete", name: "spare" }),
  at("snapshot", { action: "create", name: "stolen" }),
  at("workspace_fork", { snapshot_name: "base", new_name: "forked" }),
  {
    tool: "workspace_merge",
    input: () => ({ source_workspaces: ["owned"], target_workspace: "others" }),
  },
  {
    tool: "workspace_merge",
    input: () => ({ source_workspaces: ["others"], target_workspace: "owned" }),
  },
  {
    tool: "swarm_run",
    input: () => ({ golden_workspace: "owned", snapshot_name: "base", tasks }),
  },
  {
    tool: "swarm_run",
    input: () => ({ golden_workspace: "others", snapshot: "owned@base", tasks }),
  },
  {
    tool: "swarm_run",
    input: () => ({
      golden_workspace: "others",
      snapshot_name: "base",
      merge_strategy: "sequential",
      merge_target: "owned",
      tasks,
    }),
  },
  swarm("swarm_status"),
  swarm("swarm_resume"),
  swarm("swarm_retry"),
  swarm("swarm_cancel", /it cannot be cancelled any more/),
  {
    tool: "team",
    input: () => ({
      action: "create",
      name: "thieves",
      roles,
      golden_workspace: "owned",
      base_snapshot: "base",
    }),
  },
  {
    tool: "team",
    input: () => ({ action: "create", name: "below", roles, parent_team: "crew" }),
    code: "team-refused",
  },
  team("status"),
  team("message", { agent: "lead", to: "coder", content: "stolen" }),
  team("receive", { agent: "coder" }),
  team("board"),
  team("add_task", { title: "stolen" }),
  team("claim", { agent: "coder", task_id: "task-1" }),
  team("start", { agent: "coder", task_id: "task-1" }),
  team("complete", { agent: "coder", task_id: "task-1" }),
  team("claim", { agent: "coder", task_id: "task-2" }),
  team("fail", { agent: "coder", task_id: "task-2" }),
  team("release", { agent: "coder", task_id: "task-2" }),
  { tool: "team", input: () => ({ action: "status", team: "crew" }), code: "team-refused" },
  team("destroy"),
  at("workspace_stop"),
  at("workspace_start"),
  at("workspace_destroy"),
];

/** Tools, and actions of tools, that touch nothing of another's, and why. */
export const OPEN: Readonly<Record<string, string>> = {
  "workspace_create": "makes one under a name that nobody has",
  "workspace_list": "tells of all workspaces whose they are",
  "workspace_adopt": "takes over what its owner has left; its own tests say when",
  "workspace_prepare": "takes a name beside one that is another's",
  "swarm_list": "tells of one's own",
  "team:list": "tells of one's own",
  "vault": "notes are everybody's",
  "operation_status": "an id that cannot be guessed is what it takes",
  "operation_wait": "an id that cannot be guessed is what it takes",
  "operation_cancel": "an id that cannot be guessed is what it takes",
};

/** Fields that name what somebody owns. */
export const NAMING = [
  "workspace_id",
  "workspace_ids",
  "source_workspaces",
  "target_workspace",
  "golden_workspace",
  "merge_target",
  "snapshot",
  "snapshot_name",
  "base_snapshot",
  "job_id",
  "guest_port",
  "swarm_id",
  "team",
  "parent_team",
] as const;
