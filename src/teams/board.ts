import { z } from "zod";
import { Refusal, type Result } from "../domain/failure.ts";
import { timestamp, type Clock } from "../lib/clock.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { changeFrontMatter, readFrontMatter, splitNote } from "../vault/front-matter.ts";
import type { Vault } from "../vault/vault.ts";
import { TEAM_LIMITS } from "./limits.ts";

const STATUSES = ["open", "claimed", "in_progress", "done", "failed"] as const;

/** `claimed` and `in_progress` belong to their assignee; `done` and `failed` are ends. */
export type TaskStatus = (typeof STATUSES)[number];

const frontSchema = z.looseObject({
  title: z.string(),
  status: z.enum(STATUSES),
  assignee: z.string().nullable().default(null),
  depends_on: z.array(z.string()).default([]),
  result: z.string().nullable().default(null),
  updated_at: z.string().default(""),
});

/** A task of a team: a note in the vault that people may read and edit as any other. */
export interface BoardTask extends z.output<typeof frontSchema> {
  readonly id: string;
  readonly path: string;
  readonly body: string;
}

export interface NewBoardTask {
  readonly title: string;
  readonly body: string;
  readonly dependsOn: readonly string[];
}

export type TaskMove = "claim" | "start" | "complete" | "fail" | "release";

/** From which states each move goes, and to which. */
const MOVES: Readonly<Record<TaskMove, { from: readonly TaskStatus[]; to: TaskStatus }>> = {
  claim: { from: ["open"], to: "claimed" },
  start: { from: ["claimed"], to: "in_progress" },
  complete: { from: ["claimed", "in_progress"], to: "done" },
  fail: { from: ["claimed", "in_progress"], to: "failed" },
  release: { from: ["claimed", "in_progress", "failed"], to: "open" },
};

interface BoardMeans {
  readonly vault: Vault;
  readonly clock: Clock;
}

const ID = /^[a-z0-9][a-z0-9-]{0,59}$/;

/** Adds a task under the next number that is free. Throws `team-refused`. */
export async function addTask(
  means: BoardMeans,
  team: string,
  task: NewBoardTask,
): Promise<BoardTask> {
  const there = await listTasks(means, team);
  if (there.length >= TEAM_LIMITS.boardTasks) {
    throw refused(`the board has ${TEAM_LIMITS.boardTasks} tasks, the most that there can be`);
  }
  const missing = task.dependsOn.find((id) => !there.some((one) => one.id === id));
  if (missing !== undefined) throw refused(`there is no task ${JSON.stringify(missing)}`);
  const front = JSON.stringify({
    title: task.title,
    status: "open",
    assignee: null,
    depends_on: task.dependsOn,
    result: null,
    updated_at: timestamp(means.clock),
  });
  const content = `${setAll("", JSON.parse(front) as Record<string, unknown>)}${task.body}`;
  for (let number = there.length + 1; ; number += 1) {
    const id = `task-${number}`;
    const path = pathOf(team, id);
    const written = await means.vault.write({ path, content, mode: "create" });
    if (written.ok) return readTask(means, team, id);
    if (written.failure.code !== "note-exists") throw refusalOf(written.failure);
  }
}

/** By number; notes that make no sense as tasks are left out. */
export async function listTasks(means: BoardMeans, team: string): Promise<readonly BoardTask[]> {
  const listed = await means.vault.list(folderOf(team), { recursive: false });
  if (!listed.ok) throw refusalOf(listed.failure);
  const tasks: BoardTask[] = [];
  for (const { path } of listed.value.notes) {
    const id = path.slice(path.lastIndexOf("/") + 1, -".md".length);
    const note = await means.vault.read(path);
    const task = note.ok ? parseTask(team, id, note.value.text) : null;
    if (task?.ok === true) tasks.push(task.value);
  }
  const numberOf = ({ id }: BoardTask): number => Number(/\d+$/.exec(id)?.[0] ?? 0);
  return tasks.toSorted((one, other) => numberOf(one) - numberOf(other));
}

export interface MoveRequest {
  readonly team: string;
  readonly agent: string;
  readonly move: TaskMove;
  /** For a claim, the next that is free where it is left out. */
  readonly id: string | undefined;
  /** What came of it, or why it failed. */
  readonly result: string | null;
}

/**
 * Moves a task while nobody else does, in whatever process: one claim of many wins. What was moved so
 * already is answered as it stands; a claim of the next one that is free answers the one that its
 * agent has claimed and not begun, where there is one. Only the assignee moves a task that is claimed, and only what all it depends on is done can be claimed.
 */
export async function moveTask(means: BoardMeans, request: MoveRequest): Promise<BoardTask> {
  const { team, move, id, agent } = request;
  if (id !== undefined) {
    const moved = await moveOne(means, { ...request, id });
    if (moved.ok) return moved.value;
    throw refusalOf(moved.failure);
  }
  if (move !== "claim") throw refused("task_id is needed");
  const tasks = await listTasks(means, team);
  // Whoever did not hear the answer asks again, and must not have two then.
  const own = tasks.find(({ status, assignee }) => status === "claimed" && assignee === agent);
  if (own !== undefined) return own;
  for (const task of tasks) {
    if (task.status !== "open") continue;
    const claimed = await moveOne(means, { ...request, id: task.id });
    if (claimed.ok) return claimed.value;
    if (claimed.failure.code !== "team-refused") throw refusalOf(claimed.failure);
  }
  throw refused("no task is free to be claimed");
}

async function moveOne(
  means: BoardMeans,
  { team, agent, move, id, result }: MoveRequest & { readonly id: string },
): Promise<Result<BoardTask>> {
  if (!ID.test(id)) return fail(`${JSON.stringify(id)} is no task`);
  const moved = await means.vault.update<BoardTask>(pathOf(team, id), async (text) => {
    if (text === null) return fail(`there is no task ${id}`);
    const task = parseTask(team, id, text);
    if (!task.ok) return task;
    const { status, assignee, depends_on } = task.value;
    const { from, to } = MOVES[move];
    if (isMoved(task.value, { move, agent, result })) {
      return { ok: true, value: { text, value: task.value } };
    }
    if (!from.includes(status)) return fail(`${id} is ${status}${by(assignee)}: no ${move} now`);
    if (move !== "claim" && assignee !== agent) return fail(`${id} is ${status}${by(assignee)}`);
    if (move === "claim") {
      const open = await firstOpen(means, team, depends_on);
      if (open !== null) return fail(`${id} waits for ${open}`);
    }
    const values = {
      status: to,
      assignee: move === "release" ? null : agent,
      result: result ?? (move === "release" ? null : task.value.result),
      updated_at: timestamp(means.clock),
    };
    const changed = setAll(text, values);
    const after = parseTask(team, id, changed);
    return after.ok ? { ok: true, value: { text: changed, value: after.value } } : after;
  });
  crashPoint("team.task-moved");
  return moved;
}

/** Whether it was moved so before: by whoever asks again because the answer got lost. */
function isMoved(
  task: BoardTask,
  { move, agent, result }: Pick<MoveRequest, "move" | "agent" | "result">,
): boolean {
  const isOwn = task.assignee === (move === "release" ? null : agent);
  return task.status === MOVES[move].to && isOwn && (result === null || result === task.result);
}

/** What is done stays done, so the answer cannot go wrong later. */
async function firstOpen(
  means: BoardMeans,
  team: string,
  ids: readonly string[],
): Promise<string | null> {
  for (const id of ids) {
    const note = ID.test(id) ? await means.vault.read(pathOf(team, id)) : null;
    const task = note?.ok === true ? parseTask(team, id, note.value.text) : null;
    if (task?.ok !== true || task.value.status !== "done") return id;
  }
  return null;
}

async function readTask(means: BoardMeans, team: string, id: string): Promise<BoardTask> {
  const note = await means.vault.read(pathOf(team, id));
  const task = note.ok ? parseTask(team, id, note.value.text) : note;
  if (task.ok) return task.value;
  throw refusalOf(task.failure);
}

function parseTask(team: string, id: string, text: string): Result<BoardTask> {
  const front = readFrontMatter(text);
  if (!front.ok) return front;
  const parsed = frontSchema.safeParse(front.value);
  if (!parsed.success) return fail(`the note of ${id} is not one of a task any more`);
  const { body } = splitNote(text);
  return { ok: true, value: { ...parsed.data, id, path: pathOf(team, id), body } };
}

function setAll(text: string, values: Readonly<Record<string, unknown>>): string {
  let changed = text;
  for (const [key, value] of Object.entries(values)) {
    const next = changeFrontMatter(changed, key, value);
    if (!next.ok) throw refusalOf(next.failure);
    changed = next.value;
  }
  return changed;
}

function folderOf(team: string): string {
  return `teams/${team}/board`;
}

function pathOf(team: string, id: string): string {
  return `${folderOf(team)}/${id}.md`;
}

function by(assignee: string | null): string {
  return assignee === null ? "" : ` by ${assignee}`;
}

function fail(message: string): { readonly ok: false; readonly failure: RefusedFailure } {
  const hint = "`mycelium team board` shows how the tasks stand";
  return { ok: false, failure: { code: "team-refused", message, details: {}, hint } };
}

type RefusedFailure = Refusal["failure"];

function refused(message: string): Refusal {
  return refusalOf(fail(message).failure);
}

function refusalOf({ code, message, details, hint }: RefusedFailure): Refusal {
  return new Refusal(code, message, { details, ...(hint !== null && { hint }) });
}
