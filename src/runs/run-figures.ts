import { z } from "zod";
import { TASK_STATES } from "../domain/task.ts";
import type { Database } from "../store/store.ts";

/**
 * What was used, as far as agents told. `null` is unknown, never nothing: a task whose attempts all
 * kept silent has unknown tokens; one that was never attempted has none.
 */
export const usageFiguresSchema = z.strictObject({
  tokens: z.number().int().nullable(),
  cost_usd: z.number().nullable(),
  /** Ended attempts that told nothing: the figures above are then the least that was used. */
  silent_attempts: z.number().int(),
});

export type UsageFigures = z.infer<typeof usageFiguresSchema>;

export const taskFiguresSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  state: z.enum(TASK_STATES),
  attempts: z.number().int(),
  landed_commit: z.string().nullable(),
  /** Why it failed, was skipped, waits for a person, or was sent back last. */
  reason: z.string().nullable(),
  message: z.string().nullable(),
  started_at: z.string().nullable(),
  ended_at: z.string().nullable(),
  usage: usageFiguresSchema,
});

export type TaskFigures = z.infer<typeof taskFiguresSchema>;

/** Every task of a run in the plan's order, without what is large. */
export async function readTaskFigures(
  tables: Database,
  runId: string,
): Promise<readonly TaskFigures[]> {
  const rows = await tables
    .selectFrom("tasks")
    .select([
      "task_id as id",
      "name",
      "state",
      "attempts",
      "landed_commit",
      "reason",
      "message",
      "started_at",
      "ended_at",
    ])
    .where("run_id", "=", runId)
    .orderBy("ordinal")
    .execute();
  const usages = await readUsages(tables, runId);
  return rows.map((row) => ({ ...row, usage: usages.get(row.id) ?? NOTHING_USED }));
}

export const NOTHING_USED: UsageFigures = { tokens: 0, cost_usd: 0, silent_attempts: 0 };

/** Unknown is left out of the sum of tokens, and makes the sum of costs unknown. */
export function sumUsages(usages: readonly UsageFigures[]): UsageFigures {
  const known = usages.flatMap(({ tokens }) => tokens ?? []);
  const isUnknown = usages.length > 0 && known.length === 0;
  return {
    tokens: isUnknown ? null : known.reduce((sum, tokens) => sum + tokens, 0),
    cost_usd: usages.reduce<number | null>(
      (sum, { cost_usd }) => (sum === null || cost_usd === null ? null : sum + cost_usd),
      0,
    ),
    silent_attempts: usages.reduce((sum, { silent_attempts }) => sum + silent_attempts, 0),
  };
}

async function readUsages(
  tables: Database,
  runId: string,
): Promise<ReadonlyMap<string, UsageFigures>> {
  const attempts = await tables
    .selectFrom("attempts")
    .select(["task_id", "status", "usage_reported", "input_tokens", "output_tokens", "cost_usd"])
    .where("run_id", "=", runId)
    .execute();
  const byTask = Map.groupBy(attempts, ({ task_id }) => task_id);
  return new Map([...byTask].map(([id, ofTask]) => [id, sumUsages(ofTask.map(figuresOf))]));
}

function figuresOf(attempt: {
  readonly status: string;
  readonly usage_reported: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cost_usd: number | null;
}): UsageFigures {
  const tokens = attempt.input_tokens + attempt.output_tokens;
  if (attempt.usage_reported === 1)
    return { tokens, cost_usd: attempt.cost_usd, silent_attempts: 0 };
  const hasEnded = attempt.status !== "running";
  return { tokens: null, cost_usd: null, silent_attempts: hasEnded ? 1 : 0 };
}
