import { z } from "zod";
import { MERGE_STRATEGIES } from "../merging/merge-report.ts";
import { SWARM_LIMITS } from "./limits.ts";

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,199}$/;

const atMost = (bytesMax: number) =>
  z.string().refine((text) => Buffer.byteLength(text) <= bytesMax, {
    error: `too large: ${bytesMax} bytes are the most`,
  });

const variablesSchema = z
  .record(
    z
      .string()
      .regex(VARIABLE, { error: "letters, digits and _ make a name" })
      .refine((name) => !name.startsWith("MYCELIUM_"), { error: "is Mycelium's own" }),
    atMost(100_000).refine((text) => !text.includes("\0"), { error: "holds a NUL character" }),
  )
  .refine((all) => Object.keys(all).length <= SWARM_LIMITS.variables, {
    error: `max length is ${SWARM_LIMITS.variables}`,
  });

const commandSchema = z
  .string()
  .min(1, { error: "must not be empty" })
  .max(SWARM_LIMITS.commandCharacters, { error: "too large" })
  .refine((text) => !text.includes("\0"), { error: "holds a NUL character" });

const taskSchema = z.strictObject({
  /** Each once. */
  name: z
    .string()
    .max(SWARM_LIMITS.nameCharacters)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, {
      error: "letters, digits, '.', '_' and '-' make a name, and the first is a letter or digit",
    }),
  /** A line for `/bin/sh -c` in the worker. */
  command: commandSchema,
  workdir: z.string().min(1).max(4096).optional(),
  env: variablesSchema.default({}),
});

const vaultQuerySchema = z.strictObject({
  /** `read` brings a note by its path, `search` the best notes for words. */
  kind: z.enum(["search", "read"]).default("search"),
  query: z.string().min(1).max(1024),
});

export const swarmTasksSchema = z
  .array(taskSchema)
  .min(1, { error: "must not be empty" })
  .max(SWARM_LIMITS.tasks, { error: `max length is ${SWARM_LIMITS.tasks}` })
  .superRefine((tasks, context) => {
    const seen = new Set<string>();
    for (const [at, { name }] of tasks.entries()) {
      if (seen.has(name)) {
        const message = `duplicate task name ${JSON.stringify(name)}`;
        context.addIssue({ code: "custom", message, path: [at, "name"] });
      }
      seen.add(name);
    }
  });

/** What `swarm run` is asked for; everything that can be wrong with its words is found here. */
export const swarmRequestSchema = z.strictObject({
  golden_workspace: z.string().min(1).max(200),
  /** The snapshot that workers are forked from; `golden` where it is left out. */
  snapshot_name: z.string().min(1).max(200).optional(),
  /** The same by another name. */
  snapshot: z.string().min(1).max(200).optional(),
  tasks: swarmTasksSchema,
  env_vars: variablesSchema.default({}),
  merge_strategy: z.enum(MERGE_STRATEGIES).optional(),
  /** The workspace that takes what succeeded. */
  merge_target: z.string().min(1).max(200).optional(),
  /** The repository's folder in all of them; the workspace's own where it is left out. */
  merge_path: z.string().min(1).max(4096).optional(),
  commit_message: z.string().min(1).max(10_000).optional(),
  /** Land what does not conflict; otherwise a conflict leaves the target as it is. */
  allow_partial: z.boolean().default(false),
  max_parallel: z.int().min(1).max(SWARM_LIMITS.parallel).default(4),
  /** For each task. */
  timeout_secs: z.number().positive().max(SWARM_LIMITS.timeoutSeconds).default(600),
  /** Of each stream of each task, its end. */
  max_output_bytes: z.int().min(0).max(SWARM_LIMITS.outputBytes).default(262_144),
  /** Destroy workers whose work is safe. */
  cleanup: z.boolean().default(true),
  allow_internet: z.boolean().optional(),
  vault_context: z
    .array(vaultQuerySchema)
    .max(SWARM_LIMITS.vaultQueries, { error: `max length is ${SWARM_LIMITS.vaultQueries}` })
    .default([]),
  /** Written to `context.md` of each worker. */
  shared_context: atMost(SWARM_LIMITS.sharedContextBytes).optional(),
});

export type SwarmRequest = z.output<typeof swarmRequestSchema>;

/** What is recorded: the request, and all that was found out before the first fork. */
export const swarmPlanSchema = z.object({
  request: swarmRequestSchema,
  snapshot: z.string(),
  kind: z.string(),
  /** The text of `context.md`; `null` where there is none to write. */
  context: z.string().nullable(),
});

export type SwarmPlan = z.output<typeof swarmPlanSchema>;

export const taskOutcomeSchema = z.object({
  exit_code: z.int().nullable(),
  ending: z.string(),
  stdout: z.string(),
  stderr: z.string(),
  /** Bytes of both that were left out. */
  dropped_bytes: z.int(),
  elapsed_ms: z.int(),
});

export type TaskOutcome = z.output<typeof taskOutcomeSchema>;
