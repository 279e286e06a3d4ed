import { z } from "zod";
import { checkShape, type Checked } from "../domain/problem.ts";
import { manifestSchema, type TaskDefinition } from "../domain/task.ts";

const SPEC_CHARACTERS_MAX = 500_000;
const TASKS_MAX = 5000;

/** One task as planners propose it: a manifest's fields, and the specification. */
export const proposalSchema = manifestSchema.extend({ spec: z.string().max(SPEC_CHARACTERS_MAX) });

const replySchema = z.strictObject({ tasks: z.array(proposalSchema).min(1).max(TASKS_MAX) });

/** Parses what a planner replied, or a plan that is written as such a reply. */
export function checkReply(
  reply: unknown,
  lineOf?: (path: readonly PropertyKey[]) => number | null,
): Checked<readonly TaskDefinition[]> {
  const checked = checkShape(replySchema, reply, lineOf);
  if (!checked.ok) return checked;
  return {
    ok: true,
    value: checked.value.tasks.map(({ spec, ...manifest }) => ({ manifest, spec })),
  };
}

/** The inverse of `checkReply`. */
export function replyOf(tasks: readonly TaskDefinition[]): unknown {
  return { tasks: tasks.map(({ manifest, spec }) => Object.assign({ spec }, manifest)) };
}
