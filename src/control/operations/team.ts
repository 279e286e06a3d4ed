import { join } from "node:path";
import { z } from "zod";
import { Refusal } from "../../domain/failure.ts";
import { addTask, listTasks, moveTask, type BoardTask, type TaskMove } from "../../teams/board.ts";
import { TEAM_LIMITS } from "../../teams/limits.ts";
import { createTeam } from "../../teams/create-team.ts";
import { destroyTeam } from "../../teams/destroy-team.ts";
import * as teams from "../../teams/teams.ts";
import { defineOperation, type OperationContext } from "../operation.ts";
import { openKept } from "../kept-at-hand.ts";
import { withinQuota } from "../owned-workspace.ts";
import { isOwnSwarm, withSwarmMeans } from "../swarm-at-hand.ts";

const ACTIONS = [
  "create",
  "destroy",
  "status",
  "list",
  "message",
  "receive",
  "board",
  "add_task",
  "claim",
  "start",
  "complete",
  "fail",
  "release",
] as const;

const wordSchema = z
  .string()
  .max(TEAM_LIMITS.nameCharacters)
  .regex(/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/, {
    error: "small letters, digits and '-' make a name",
  });
const textSchema = z.string().max(TEAM_LIMITS.descriptionCharacters);
const contentSchema = z
  .string()
  .min(1)
  .refine((text) => Buffer.byteLength(text) <= TEAM_LIMITS.contentBytes, { error: "too large" });

const inputSchema = z.strictObject({
  action: z.enum(ACTIONS),
  /** Of the team; `team` is the same. */
  name: wordSchema.optional(),
  team: wordSchema.optional(),
  roles: z
    .array(
      z.strictObject({
        name: wordSchema,
        role: textSchema,
        skills: z.array(textSchema).max(TEAM_LIMITS.skills).default([]),
        description: textSchema.default(""),
      }),
    )
    .min(1, { error: "must not be empty" })
    .max(TEAM_LIMITS.roles, { error: `max length is ${TEAM_LIMITS.roles}` })
    .refine((roles) => new Set(roles.map(({ name }) => name)).size === roles.length, {
      error: "duplicate member name",
    })
    .optional(),
  max_vms: z.int().min(1).max(TEAM_LIMITS.vms).optional(),
  /** Each member gets a workspace that is forked from its snapshot. */
  golden_workspace: z.string().min(1).max(200).optional(),
  base_snapshot: z.string().min(1).max(200).optional(),
  parent_team: wordSchema.optional(),
  /** Who sends, receives, or works on a task. */
  agent: wordSchema.optional(),
  /** A member, or `*` for all others. */
  to: z.union([wordSchema, z.literal("*")]).optional(),
  content: contentSchema.optional(),
  message_type: wordSchema.optional(),
  /** Of the sender's choice: sent again under the same id, it arrives once. */
  message_id: z.string().min(1).max(TEAM_LIMITS.nameCharacters).optional(),
  limit: z.int().min(1).max(TEAM_LIMITS.received).optional(),
  /** receive: leaves the messages where they are. */
  peek: z.boolean().optional(),
  /** add_task */
  title: textSchema.min(1).optional(),
  body: contentSchema.optional(),
  depends_on: z.array(wordSchema).max(TEAM_LIMITS.dependencies).optional(),
  /** claim: the next that is free where it is left out. */
  task_id: wordSchema.optional(),
  /** complete, fail: what came of it. */
  result: textSchema.optional(),
});

type TeamInput = z.output<typeof inputSchema>;

const taskSchema = z.strictObject({
  task_id: z.string(),
  /** Of its note in the vault. */
  path: z.string(),
  title: z.string(),
  status: z.string(),
  assignee: z.string().nullable(),
  depends_on: z.array(z.string()),
  result: z.string().nullable(),
  body: z.string(),
});

const teamSchema = z.strictObject({
  name: z.string(),
  state: z.string(),
  parent_team: z.string().nullable(),
  created_at: z.string(),
  max_vms: z.int(),
  members: z.array(
    z.strictObject({
      name: z.string(),
      role: z.string(),
      skills: z.array(z.string()),
      description: z.string(),
      workspace_id: z.string().nullable(),
      /** Messages that wait for it. */
      waiting: z.int(),
    }),
  ),
});

const outputSchema = z.strictObject({
  action: z.enum(ACTIONS),
  team: teamSchema.optional(),
  teams: z.array(teamSchema).optional(),
  destroyed: z.array(z.string()).optional(),
  /** Folders on the host with work of members that would have been lost. */
  rescued: z.array(z.string()).optional(),
  recipients: z.array(z.string()).optional(),
  messages: z
    .array(
      z.strictObject({
        id: z.int(),
        from: z.string(),
        type: z.string(),
        content: z.string(),
        sent_at: z.string(),
      }),
    )
    .optional(),
  /** How many wait after this. */
  left: z.int().optional(),
  task: taskSchema.optional(),
  tasks: z.array(taskSchema).optional(),
});

export type TeamAnswer = z.output<typeof outputSchema>;

export const team = defineOperation({
  name: "team",
  summary: "Make teams of agents that write to each other and share a board of tasks",
  tool: { name: "team", readOnly: false, destructive: true, long: false },
  input: inputSchema,
  output: outputSchema,
  run: (context, input) =>
    withSwarmMeans(context, async (swarm) => {
      const { environment } = context;
      const kept = openKept(context);
      const claimRoom: teams.TeamMeans["claimRoom"] = (adding, claim) =>
        withinQuota(context, kept, { adding, claim });
      const means = { ...swarm, rescuedDir: join(environment.home, "rescued"), claimRoom };
      const answer = await answerTo({ context, means, input });
      return { action: input.action, ...answer };
    }),
});

interface Asked {
  readonly context: OperationContext;
  readonly means: teams.TeamMeans & Parameters<typeof listTasks>[0];
  readonly input: TeamInput;
}

async function answerTo(asked: Asked): Promise<Omit<TeamAnswer, "action">> {
  const { means, input, context } = asked;
  const { action } = input;
  switch (action) {
    case "create":
      return { team: await shownTeam(asked, await create(asked)) };
    case "list": {
      const all = await teams.listTeams(means);
      const own = all.filter(({ owner }) => isOwnSwarm(owner, context.session));
      return { teams: await Promise.all(own.map((one) => shownTeam(asked, one))) };
    }
    case "status":
      return { team: await shownTeam(asked, await ownTeam(asked)) };
    case "destroy": {
      const { name } = await ownTeam(asked);
      const { teams: destroyed, rescued } = await destroyTeam(means, name);
      return { destroyed: [...destroyed], rescued: [...rescued] };
    }
    case "message":
    case "receive":
      return exchange(asked);
    case "board": {
      const { name } = await ownTeam(asked);
      return { tasks: (await listTasks(means, name)).map(shownTask) };
    }
    case "add_task": {
      const { name } = await ownTeam(asked);
      const { title, body = "", depends_on: dependsOn = [] } = input;
      const task = { title: needed(title, "title"), body, dependsOn };
      return { task: shownTask(await addTask(means, name, task)) };
    }
    case "claim":
    case "start":
    case "complete":
    case "fail":
    case "release":
      return moveOn(asked, action);
  }
}

async function create(asked: Asked): Promise<teams.Team> {
  const { means, input, context } = asked;
  const { golden_workspace: workspace, base_snapshot: snapshot = "golden", parent_team } = input;
  if (workspace === undefined && input.base_snapshot !== undefined) {
    throw wrong("golden_workspace", "is required with base_snapshot");
  }
  // Whoever destroys the one above destroys this one.
  if (parent_team !== undefined) await ownTeam(asked, parent_team);
  return createTeam(means, {
    name: needed(input.name ?? input.team, "name"),
    roles: needed(input.roles, "roles"),
    vmsMax: input.max_vms ?? 10,
    golden: workspace === undefined ? null : { workspace, snapshot },
    parent: parent_team ?? null,
    owner: context.session,
  });
}

/** A person may touch all teams, a session its own. */
async function ownTeam({ means, input, context }: Asked, named?: string): Promise<teams.Team> {
  const name = named ?? needed(input.name ?? input.team, "name");
  const found = await teams.findTeam(means, name);
  if (isOwnSwarm(found.owner, context.session)) return found;
  throw new Refusal("team-refused", `the team ${found.name} is another session's`, {
    hint: "make one of your own; workspace_adopt takes over those of sessions that have ended",
  });
}

async function exchange(asked: Asked): Promise<Omit<TeamAnswer, "action">> {
  const { means, input } = asked;
  const { name } = await ownTeam(asked);
  const agent = needed(input.agent, "agent");
  if (input.action === "message") {
    const recipients = await teams.sendMessage(means, {
      team: name,
      from: agent,
      to: needed(input.to, "to"),
      type: input.message_type ?? "text",
      content: needed(input.content, "content"),
      key: input.message_id ?? null,
    });
    return { recipients: [...recipients] };
  }
  const { limit = 10, peek = false } = input;
  const request = { team: name, recipient: agent, limit, peek };
  const { messages, left } = await teams.receiveMessages(means, request);
  const shown = messages.map(({ id, sender: from, type, content, sent_at }) => {
    return { id: Number(id), from, type, content, sent_at };
  });
  return { messages: shown, left };
}

async function moveOn(asked: Asked, move: TaskMove): Promise<Omit<TeamAnswer, "action">> {
  const { means, input } = asked;
  const { name, spec } = await ownTeam(asked);
  const agent = needed(input.agent, "agent");
  if (!spec.roles.some((role) => role.name === agent)) {
    throw wrong("agent", `${agent} is no member of ${name}`);
  }
  const request = { team: name, agent, move, id: input.task_id, result: input.result ?? null };
  return { task: shownTask(await moveTask(means, request)) };
}

async function shownTeam(
  { means }: Asked,
  found: teams.Team,
): Promise<z.output<typeof teamSchema>> {
  const waiting = await teams.waitingMessages(means, found.name);
  return {
    name: found.name,
    state: found.state,
    parent_team: found.parent,
    created_at: found.createdAt,
    max_vms: found.spec.max_vms,
    members: found.spec.roles.map(({ workspace: workspace_id, ...role }) => ({
      ...role,
      workspace_id,
      waiting: waiting.get(role.name) ?? 0,
    })),
  };
}

function shownTask(task: BoardTask): z.output<typeof taskSchema> {
  const { id: task_id, path, title, status, assignee, depends_on, result, body } = task;
  return { task_id, path, title, status, assignee, depends_on, result, body };
}

function needed<T>(value: T | undefined, name: string): T {
  if (value !== undefined) return value;
  throw wrong(name, "is required for this action");
}

function wrong(name: string, problem: string): Refusal {
  return new Refusal("usage", `team: ${name}: ${problem}`, { hint: "see the tool's parameters" });
}
