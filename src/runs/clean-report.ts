import { z } from "zod";

const sizedSchema = z.strictObject({ id: z.string(), bytes: z.number().int() });

const cleanedRunSchema = z.strictObject({
  run_id: z.string(),
  /** `null` where only its logs were left. */
  status: z.string().nullable(),
  workspaces: z.array(sizedSchema),
  refs: z.array(z.string()),
  /** The folder of its logs, where that goes too. */
  logs: z.strictObject({ path: z.string(), bytes: z.number().int() }).nullable(),
  /** What is lost with it that was recorded nowhere else, as sentences. */
  losses: z.array(z.string()),
});

export type CleanedRun = z.infer<typeof cleanedRunSchema>;

export const cleanReportSchema = z.strictObject({
  dry_run: z.boolean(),
  /** What was removed, or would be. */
  runs: z.array(cleanedRunSchema),
  /** Runs that were left alone, and why. */
  refused: z.array(
    z.strictObject({ run_id: z.string(), reasons: z.array(z.string()), hint: z.string() }),
  ),
  bytes: z.number().int(),
});

export type CleanReport = z.infer<typeof cleanReportSchema>;
