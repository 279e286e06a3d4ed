import { z } from "zod";
import { reportRun, reportRuns, runReportSchema, runSummarySchema } from "../../runs/report.ts";
import { requireRun } from "../../store/find-run.ts";
import { defineOperation } from "../operation.ts";
import { refuseAbsent, runAtHand } from "../run-at-hand.ts";
import { withStoreIfAny } from "../with-store.ts";

export type { LastVerdict, RunReport, RunSummary, TaskReport } from "../../runs/report.ts";
export type { UsageFigures } from "../../runs/run-figures.ts";

export const status = defineOperation({
  name: "status",
  summary: "Show a run: its tasks, what landed, and what to do next",
  input: z.strictObject({
    /** The newest run of this repository where it is left out. */
    run_id: z.string().optional(),
  }),
  output: runReportSchema,
  run: (context, { run_id: runId }) =>
    withStoreIfAny(context, refuseAbsent(runId), async (store) => {
      const { id } = await requireRun(store, runAtHand(context, runId));
      return reportRun(store, id);
    }),
});

const runListSchema = z.strictObject({ runs: z.array(runSummarySchema) });

export type RunList = z.infer<typeof runListSchema>;

export const listRuns = defineOperation({
  name: "runs.list",
  summary: "List runs, the newest first, of all repositories",
  input: z.strictObject({ limit: z.int().min(1).max(10_000).default(50) }),
  output: runListSchema,
  run: (context, { limit }) =>
    withStoreIfAny(
      context,
      (): RunList => ({ runs: [] }),
      async (store) => ({ runs: [...(await reportRuns(store, { limit }))] }),
    ),
});
