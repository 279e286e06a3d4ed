import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Refusal } from "../domain/failure.ts";
import { listProblems, type Problem } from "../domain/problem.ts";
import { taskFolderName, type TaskDefinition } from "../domain/task.ts";
import { withDeadline } from "../lib/deadline.ts";
import { readTextFile } from "../lib/text-file.ts";
import { checkTasks, type CheckedTask } from "./check-tasks.ts";
import { lockTasks } from "./plan-record.ts";
import type { Planner, PlanRequest } from "./planner.ts";
import { checkReply } from "./proposal.ts";
import { findObstacles, replaceTaskFolders, takeInventory } from "./replace-task-folders.ts";
import type { TaskFolder } from "./task-folders.ts";

const PLAN_BYTES_MAX = 5_000_000;
const REPLY_SHOWN_CHARACTERS_MAX = 500;
const PLANNER_TIMEOUT_MS = 10 * 60_000;

/** What planning needs of the configuration. */
export interface PlanSettings {
  /** Absolute. */
  readonly tasks_dir: string;
  readonly resources: PlanRequest["resources"];
  readonly doctor: string;
  readonly lint?: string | undefined;
}

export interface PlanningRequest {
  readonly planner: Planner;
  /** Absolute. */
  readonly planPath: string;
  readonly config: PlanSettings;
  /** Every tracked path of the integration branch. */
  readonly repositoryFiles: readonly string[];
  /** Checks everything and writes nothing. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** For the planner; ten minutes by default. */
  readonly timeoutMs?: number;
}

/**
 * Has a plan cut into tasks, checks them all, and writes a folder for each in place of those that
 * planning wrote before. Answers them in the planner's order, with the folder each has, or would
 * have.
 *
 * Throws `plan-unreadable`, `plan-invalid` (with every problem), `planner-failed`, `task-invalid`
 * or `repository-busy`; then nothing was written.
 */
export async function planTasks(request: PlanningRequest): Promise<readonly TaskFolder[]> {
  const plan = await readPlan(request.planPath);
  const reply = await propose(request, plan);
  const proposed = checkReply(reply);
  if (!proposed.ok) throw nonsense(request.planner, proposed.problems, reply);
  const tasks = proposed.value;
  const tasksDir = request.config.tasks_dir;
  if (request.dryRun) {
    await refuseProblems(request, tasks);
  } else {
    await mkdir(tasksDir, { recursive: true });
    using _lock = lockTasks(tasksDir);
    await refuseProblems(request, tasks);
    await replaceTaskFolders(tasksDir, request.planPath, tasks);
  }
  return tasks.map(({ manifest, spec }) => {
    return { path: join(tasksDir, taskFolderName(manifest)), manifest, spec };
  });
}

async function readPlan(path: string): Promise<string> {
  const file = await readTextFile(path, { bytesMax: PLAN_BYTES_MAX, followLinks: true });
  if (!file.ok) {
    throw new Refusal("plan-unreadable", `the plan ${path} ${file.message}`, {
      hint: "name a text file with --input",
      details: { path },
    });
  }
  if (file.text.trim() !== "") return file.text;
  throw new Refusal("plan-unreadable", `the plan ${path} is empty`, {
    hint: "write what is to be done into it",
    details: { path },
  });
}

async function propose(request: PlanningRequest, plan: string): Promise<unknown> {
  const { planner, config, planPath, repositoryFiles, signal } = request;
  const timeoutMs = request.timeoutMs ?? PLANNER_TIMEOUT_MS;
  const proposed = await withDeadline({ timeoutMs, signal }, (inner) =>
    planner.propose({
      plan,
      planPath,
      files: repositoryFiles,
      resources: config.resources,
      doctor: config.doctor,
      lint: config.lint ?? null,
      signal: inner,
    }),
  );
  if (proposed.kind === "done") {
    if (proposed.value.ok) return proposed.value.value;
    const { code, message, hint, details } = proposed.value.failure;
    throw new Refusal(code, message, { details, ...(hint !== null && { hint }) });
  }
  const seconds = Math.ceil(timeoutMs / 1000);
  const what = proposed.kind === "aborted" ? "was stopped" : `gave no reply within ${seconds} s`;
  throw new Refusal("planner-failed", `the ${planner.name} planner ${what}`, {
    hint: "nothing was written; plan again",
  });
}

/** Everything that is wrong with the tasks, also beside those that a person added. */
async function refuseProblems(
  { config, planPath }: PlanningRequest,
  tasks: readonly TaskDefinition[],
): Promise<void> {
  const inventory = await takeInventory(config.tasks_dir);
  const named = tasks.map(({ manifest }): CheckedTask => ({
    path: `task ${manifest.id}`,
    manifest,
  }));
  const obstacles = await findObstacles(config.tasks_dir, inventory, tasks);
  // A clash with a task of a person's own is told above, in better words than "duplicate".
  const ids = new Set(tasks.map(({ manifest }) => manifest.id.toLowerCase()));
  const byHand = inventory.tasksByHand.filter(
    ({ manifest }) => !ids.has(manifest.id.toLowerCase()),
  );
  const problems = [...checkTasks([...named, ...byHand], config), ...obstacles];
  const [first] = problems;
  if (first === undefined) return;
  throw new Refusal("plan-invalid", `the plan's tasks cannot be used:\n${listProblems(problems)}`, {
    hint: first.hint ?? "correct the plan, then plan again",
    details: { planPath, problems },
  });
}

function nonsense(planner: Planner, problems: readonly Problem[], reply: unknown): Refusal {
  const shown = JSON.stringify(reply)?.slice(0, REPLY_SHOWN_CHARACTERS_MAX) ?? "nothing";
  const message =
    `the ${planner.name} planner's reply is not {"tasks": [...]}:\n${listProblems(problems)}\n` +
    `It began with: ${shown}`;
  return new Refusal("planner-failed", message, {
    hint: "nothing was written; plan again, or write the tasks out for the outline planner",
    details: { planner: planner.name, problems, reply: shown },
  });
}
