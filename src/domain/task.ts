import { z } from "zod";
import type { Result } from "./failure.ts";

/** Ids become folder names, ref names and trailer values, so they hold nothing that is special there. */
export const taskIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.|lock$|$)){0,63}$/, {
    error: "1 to 64 letters, digits, '-', '_' or single '.', starting with a letter or digit",
  });

/** A path or glob inside the repository: relative, with `/`, never leaving it, never in `.git`. */
export const repositoryPathSchema = z
  .string()
  .min(1)
  .max(1024)
  .refine((path) => !path.startsWith("/") && !path.includes("\\") && !hasControlCharacter(path), {
    error: "must be a relative path with '/' and no control characters",
  })
  .refine((path) => !path.split("/").some((part) => part === ".." || part === ".git"), {
    error: "must stay inside the repository and out of .git",
  });

function hasControlCharacter(text: string): boolean {
  for (const character of text) if (character < " " || character === "\u007f") return true;
  return false;
}

const globs = z.array(repositoryPathSchema).max(1000).default([]);
const lockNames = z.array(z.string().min(1).max(200)).max(200).default([]);
const commandLine = z.string().min(1).max(10_000);

/** What a task may touch, needs and must prove. One `manifest.json` in each task's folder. */
export const manifestSchema = z.strictObject({
  id: taskIdSchema,
  name: z.string().trim().min(1).max(200),
  description: z.string().max(10_000).default(""),
  /** A planner's guess; weighs the chains when the scheduler looks for the longest. */
  estimated_minutes: z.number().positive().max(10_000).optional(),
  dependencies: z.array(taskIdSchema).max(1000).default([]),
  locks: z.strictObject({ reads: lockNames, writes: lockNames }).prefault({}),
  files: z.strictObject({ reads: globs, writes: globs }).prefault({}),
  affected_tests: globs,
  test_paths: globs,
  tdd_mode: z.enum(["off", "strict"]).default("off"),
  verify: z
    .strictObject({
      doctor: commandLine.optional(),
      fast: commandLine.optional(),
      lint: commandLine.optional(),
    })
    .prefault({}),
  budget: z
    .strictObject({
      max_tokens: z.number().int().positive().optional(),
      max_cost: z.number().positive().optional(),
    })
    .prefault({}),
  agent: z.string().min(1).max(100).optional(),
  workspace: z.string().min(1).max(100).optional(),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** A manifest with its specification: what planning writes and a run takes in. */
export interface TaskDefinition {
  readonly manifest: Manifest;
  readonly spec: string;
}

/** The folder name of a task: `<id>-<slug>`. */
export function taskFolderName(manifest: Pick<Manifest, "id" | "name">): string {
  return `${manifest.id}-${slugOf(manifest.name)}`;
}

function slugOf(name: string): string {
  const slug = name
    .toLowerCase()
    .normalize("NFKD")
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 48)
    .replace(/-+$/, "");
  return slug === "" ? "task" : slug;
}

export const TASK_STATES = [
  "pending",
  "running",
  "validated",
  "complete",
  "failed",
  "needs_human_review",
  "skipped",
] as const;

export type TaskState = (typeof TASK_STATES)[number];

export type TaskMove =
  | "start"
  | "validate"
  | "retry"
  | "fail"
  | "hold"
  | "land"
  | "send-back"
  | "skip"
  | "reopen";

/**
 * The life of a task.
 *
 * ```mermaid
 * stateDiagram-v2
 *   pending --> running: start
 *   pending --> skipped: skip
 *   running --> validated: validate
 *   running --> pending: retry
 *   running --> failed: fail
 *   running --> needs_human_review: hold
 *   validated --> complete: land
 *   validated --> pending: send-back
 *   validated --> skipped: skip
 *   validated --> failed: fail
 *   validated --> needs_human_review: hold
 *   failed --> pending: reopen
 *   needs_human_review --> pending: reopen
 *   skipped --> pending: reopen
 * ```
 */
export const TASK_TRANSITIONS: Readonly<
  Record<TaskState, Readonly<Partial<Record<TaskMove, TaskState>>>>
> = {
  pending: { start: "running", skip: "skipped" },
  running: { validate: "validated", retry: "pending", fail: "failed", hold: "needs_human_review" },
  validated: {
    "land": "complete",
    "send-back": "pending",
    "skip": "skipped",
    "fail": "failed",
    "hold": "needs_human_review",
  },
  complete: {},
  failed: { reopen: "pending" },
  needs_human_review: { reopen: "pending" },
  skipped: { reopen: "pending" },
};

export interface IllegalMove {
  readonly from: string;
  readonly move: string;
}

export function moveTask(from: TaskState, move: TaskMove): Result<TaskState, IllegalMove> {
  const to = TASK_TRANSITIONS[from][move];
  return to === undefined ? { ok: false, failure: { from, move } } : { ok: true, value: to };
}

/** True once the task needs no more work in this run, whatever became of it. */
export function isSettled(state: TaskState): boolean {
  return Object.keys(TASK_TRANSITIONS[state]).every((move) => move === "reopen");
}
