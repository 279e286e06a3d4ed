import { Refusal } from "../domain/failure.ts";
import { findRun, listRuns, moveRunIn, type RunRow } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { conductRun, type RunEnding, type RunParts } from "./conduct.ts";
import { openJournalFiles } from "./journal-files.ts";
import { withRepository } from "./lease-keeper.ts";
import { recover } from "./recover.ts";
import { findDirtyCheckout, requireBranch } from "./require-branch.ts";
import type { RunContext } from "./run-context.ts";
import { skipLandedMeanwhile } from "./skip-landed.ts";
import { openSnapshot } from "./snapshot.ts";

const RUNS_SEARCHED_MAX = 1000;

export interface ResumableQuery {
  readonly home: string;
  readonly runId?: string | undefined;
  readonly gitDir?: string | undefined;
}

/** The run that `resume` means: the one named, or the newest that is not complete. */
export async function findResumable(store: Store, query: ResumableQuery): Promise<RunRow> {
  if (query.runId !== undefined) return requireUnfinished(store, query.home, query.runId);
  const runs = await listRuns(store.tables, RUNS_SEARCHED_MAX);
  const open = runs.find(
    ({ status, repository }) =>
      status !== "complete" && (query.gitDir === undefined || repository === query.gitDir),
  );
  if (open !== undefined) return open;
  throw new Refusal("run-missing", "there is no unfinished run", {
    hint: "`mycelium runs list` shows all; `mycelium run` starts a new one",
  });
}

async function requireUnfinished(store: Store, home: string, runId: string): Promise<RunRow> {
  const run = await findRun(store.tables, runId);
  if (run === undefined) {
    throw new Refusal("run-missing", `there is no run ${runId}`, {
      hint: "`mycelium runs list` shows them",
    });
  }
  if (run.status !== "complete") return run;
  await putFilesRight(store, home, runId);
  throw new Refusal("run-finished", `run ${runId} is complete`, {
    hint: "`mycelium run` starts a new one",
  });
}

/** A process that dies right after its run was complete leaves files that lag behind the record. */
async function putFilesRight(store: Store, home: string, runId: string): Promise<void> {
  const journal = await openJournalFiles({ store, home, runId });
  const snapshot = await openSnapshot({ store, home, runId, minIntervalMs: 0 });
  await snapshot.close();
  await journal.close();
}

/** Goes on with a run that was stopped, has failed, or whose process died. */
export async function resumeRun(parts: RunParts, run: RunRow): Promise<RunEnding> {
  const { store, repository, config } = parts;
  parts.agents(run.agent);
  return withRepository(store, repository.gitDir, `run ${run.id}`, async (lease) => {
    const tip = await requireBranch(repository, config.main_branch);
    await store.record((change) => moveRunIn(change, run.id, "resume"));
    return conductRun(parts, run, lease, async (context) => {
      const recovered = await recover(context);
      await recordResumed(context, run, tip, recovered);
      await skipLandedMeanwhile(context);
      await stopWhereDirty(context);
    });
  });
}

/** Only now: what a landing left half done in the checkout has just been put right. */
async function stopWhereDirty(context: RunContext): Promise<void> {
  const refusal = await findDirtyCheckout(context.repository, context.config.main_branch);
  if (refusal === null) return;
  context.stop.request({
    reason: "checkout-blocked",
    message: refusal.message,
    hint: refusal.failure.hint ?? "commit or stash, then `mycelium resume`",
  });
}

async function recordResumed(
  context: RunContext,
  run: RunRow,
  tip: string,
  recovered: Awaited<ReturnType<typeof recover>>,
): Promise<void> {
  await context.store.record((change) =>
    change.event(run.id, {
      type: "run.resumed",
      payload: {
        previous_status: run.status,
        tip,
        landed_before: [...recovered.landedBefore],
        lost_attempts: [...recovered.lostAttempts],
        reopened: [...recovered.reopened],
      },
    }),
  );
}
