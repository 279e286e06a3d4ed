import type { GateVerdict } from "../domain/gate.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { insertIntent, settleLanding } from "../store/landings.ts";
import { holdsLease } from "../store/leases.ts";
import { tipOf, type Candidate } from "./candidate.ts";
import { formatReceipt, receiptsOf } from "./receipts.ts";
import { recordLanded } from "./record-landing.ts";
import { taskRef, type RunContext } from "./run-context.ts";

export type Moved = "moved" | "outrun" | "stopped";

/**
 * Moves the integration branch to a candidate that has passed, and only from the tip that it was
 * built on: receipts → intent → checkout → compare-and-set → record. Every step can be repeated;
 * the intent tells recovery what to look for.
 */
export async function moveIntegration(
  context: RunContext,
  candidate: Candidate,
  verdicts: readonly GateVerdict[],
): Promise<Moved> {
  const receipts = receiptsOf(context, candidate, verdicts);
  await context.repository.writeReceipts(
    receipts.map((receipt) => ({ commit: receipt.commit, json: formatReceipt(receipt) })),
  );
  crashPoint("landing.receipts-written");
  const landingId = await recordIntent(context, candidate);
  if (landingId === null) return "stopped";
  crashPoint("landing.intended");
  const commits = candidate.links.map(({ task, commit }) => ({ taskId: task.row.task_id, commit }));
  const move = { landingId, base: candidate.base, tip: tipOf(candidate), commits };
  return carryOut(context, move);
}

export interface IntendedMove {
  readonly landingId: number;
  readonly base: string;
  readonly tip: string;
  readonly commits: readonly { readonly taskId: string; readonly commit: string }[];
}

/** Does what an intent says, or gives it up. Recovery calls it for intents it finds undone. */
export async function carryOut(context: RunContext, move: IntendedMove): Promise<Moved> {
  const { repository, config } = context;
  const found = (await repository.branchTip(config.main_branch))?.commit ?? null;
  if (found !== move.base) return giveUp(context, move, found);
  const checkout = await repository.findCheckout(config.main_branch);
  if (checkout !== null) {
    const advanced = await repository.advanceCheckout({
      path: checkout,
      from: move.base,
      to: move.tip,
    });
    if (advanced.kind === "blocked") {
      await abandon(context, move);
      context.stop.request({
        reason: "checkout-blocked",
        message: `the checkout of ${config.main_branch} at ${checkout} cannot follow: ${advanced.reason}`,
        hint: advanced.hint,
      });
      return "stopped";
    }
  }
  crashPoint("landing.checkout-advanced");
  const moved = await repository.moveBranch({
    branch: config.main_branch,
    from: move.base,
    to: move.tip,
    deleteRefs: move.commits.map(({ taskId }) => taskRef(context.runId, taskId)),
    message: `mycelium: landed ${move.commits.map(({ taskId }) => taskId).join(", ")}`,
  });
  if (moved.kind === "moved") {
    crashPoint("landing.ref-moved");
    if (checkout !== null) await recordCheckout(context, checkout, move);
    await recordLanded(context, move);
    crashPoint("landing.recorded");
    return "moved";
  }
  const now = moved.kind === "outrun" ? moved.found : move.base;
  if (checkout !== null) await takeBack(context, move, { checkout, to: now ?? move.base });
  if (moved.kind === "outrun") return giveUp(context, move, moved.found);
  await abandon(context, move);
  context.stop.request({
    reason: "ref-locked",
    message: `branch ${config.main_branch} is locked: ${moved.message}`,
    hint: `if no git process is at work there, remove ${moved.lockPath}, then \`mycelium resume\``,
  });
  return "stopped";
}

/** The checkout went ahead of a branch that did not follow: it goes where the branch is. */
async function takeBack(
  context: RunContext,
  move: IntendedMove,
  { checkout, to }: { readonly checkout: string; readonly to: string },
): Promise<void> {
  const request = { path: checkout, from: move.tip, to };
  const taken = await context.repository.advanceCheckout(request);
  if (taken.kind === "advanced") return;
  context.stop.request({
    reason: "checkout-blocked",
    message: `the checkout at ${checkout} was taken ahead and cannot be taken back: ${taken.reason}`,
    hint: `${taken.hint}; \`git -C ${checkout} status\` shows what it holds of a landing that was given up`,
  });
}

/**
 * For recovery: a process that died between the checkout and the branch, and a branch that somebody
 * moved since. A checkout that nobody took ahead is left alone.
 */
export async function takeBackAfterCrash(context: RunContext, move: IntendedMove): Promise<void> {
  const { repository, config } = context;
  const tip = await repository.branchTip(config.main_branch);
  const checkout = await repository.findCheckout(config.main_branch);
  if (tip === null || checkout === null || tip.commit === move.base) return;
  if ((await repository.inspectCheckout(checkout)).kind !== "dirty") return;
  await takeBack(context, move, { checkout, to: tip.commit });
}

/** Only the holder of the run's lease may intend anything; `null` where that is somebody else now. */
async function recordIntent(context: RunContext, candidate: Candidate): Promise<number | null> {
  return context.store.record(async (change) => {
    if (!(await holdsLease(change, context.lease))) return null;
    return insertIntent(change, {
      runId: context.runId,
      base: candidate.base,
      tip: tipOf(candidate),
      commits: candidate.links.map(({ task, attempt, commit }) => ({
        taskId: task.row.task_id,
        token: attempt.token,
        commit,
      })),
    });
  });
}

async function abandon(context: RunContext, move: IntendedMove): Promise<void> {
  await context.store.record((change) => settleLanding(change, move.landingId, "abandoned"));
}

async function recordCheckout(
  context: RunContext,
  path: string,
  move: IntendedMove,
): Promise<void> {
  await context.store.record((change) =>
    change.event(context.runId, {
      type: "checkout.updated",
      payload: { path, from: move.base, to: move.tip },
    }),
  );
}

/** Somebody else moved the branch: what was proved stands on a tip that is no more. */
async function giveUp(
  context: RunContext,
  move: IntendedMove,
  found: string | null,
): Promise<"outrun"> {
  const tasks = move.commits.map(({ taskId }) => taskId);
  await context.store.record(async (change) => {
    await settleLanding(change, move.landingId, "abandoned");
    await change.event(context.runId, {
      type: "landing.outrun",
      payload: { expected: move.base, found, tasks },
    });
  });
  return "outrun";
}
