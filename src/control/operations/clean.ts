import { z } from "zod";
import { composeFinder } from "../../compose.ts";
import type { Environment } from "../../config/environment.ts";
import { Refusal } from "../../domain/failure.ts";
import { openRepository } from "../../git/repository.ts";
import type { Clock } from "../../lib/clock.ts";
import { cleanReportSchema, type CleanReport } from "../../runs/clean-report.ts";
import { cleanRuns, type RefRemoval } from "../../runs/clean.ts";
import { defineOperation } from "../operation.ts";
import { refuseAbsent } from "../run-at-hand.ts";
import { withStoreIfAny } from "../with-store.ts";

export type { CleanedRun, CleanReport } from "../../runs/clean-report.ts";

export const clean = defineOperation({
  name: "clean",
  summary: "Remove what runs left: workspaces, refs, logs, records",
  input: z.strictObject({
    /** All runs where it is left out. */
    run_id: z.string().optional(),
    keep_logs: z.boolean().default(false),
    dry_run: z.boolean().default(false),
    force: z.boolean().default(false),
  }),
  output: cleanReportSchema,
  run: (context, input) => {
    const { environment, clock } = context;
    const { run_id: runId, dry_run: dryRun, keep_logs: keepLogs, force } = input;
    const nothing: CleanReport = { dry_run: dryRun, runs: [], refused: [], bytes: 0 };
    const absent = runId === undefined ? (): CleanReport => nothing : refuseAbsent(runId);
    return withStoreIfAny(context, absent, (store) =>
      cleanRuns({
        store,
        home: environment.home,
        runId,
        keepLogs,
        dryRun,
        force,
        provider: composeFinder(environment),
        workEnv: { PATH: environment.path, HOME: environment.userHome },
        removeRefs: (removal) => removeRefs(environment, clock, removal),
      }),
    );
  },
});

async function removeRefs(
  environment: Environment,
  clock: Clock,
  { repository: path, prefix, dryRun }: RefRemoval,
): Promise<readonly string[]> {
  const env = { PATH: environment.path, HOME: environment.userHome };
  try {
    await using repository = await openRepository({ path, env, clock });
    const refs = (await repository.listRefs(prefix)).map(({ ref }) => ref);
    if (!dryRun) await repository.deleteRefs(refs);
    return refs;
  } catch (error) {
    if (error instanceof Refusal && error.failure.code === "repository-missing") return [];
    throw error;
  }
}
