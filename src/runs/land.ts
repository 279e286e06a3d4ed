import type { GateVerdict } from "../domain/gate.ts";
import { gateEvent } from "../hive/gate-event.ts";
import { prove } from "../hive/prove.ts";
import { crashPoint } from "../lib/crash-point.ts";
import type { BaseJudge } from "./base-judge.ts";
import type { BoardTask } from "./board.ts";
import { buildCandidate, prefixOf, tipOf, type Built, type Candidate } from "./candidate.ts";
import { bootstrapGates, candidateGates } from "./gate-commands.ts";
import { moveIntegration, type Moved } from "./move-integration.ts";
import { recordComplete } from "./record-landing.ts";
import { gateWorkspaceId, seedAt, type RunContext } from "./run-context.ts";
import { sendBack } from "./send-back.ts";

/** What one go at the branch came to. `outrun`: somebody else moved it meanwhile; try again. */
export type LandingEnd = "settled" | "outrun" | "stopped";

/**
 * Takes validated tasks to the integration branch: build the candidate on its tip, prove exactly
 * that commit in a fresh checkout, move the branch to it. When the proof fails the batch is halved
 * until the one task that it fails on is found and sent back.
 */
export async function landBatch(
  context: RunContext,
  judgeOnBase: BaseJudge,
  tasks: readonly BoardTask[],
): Promise<LandingEnd> {
  const tip = await context.repository.branchTip(context.config.main_branch);
  if (tip === null) {
    context.stop.request({
      reason: "checkout-blocked",
      message: `branch ${context.config.main_branch} is gone`,
      hint: "make it again, then `mycelium resume`",
    });
    return "stopped";
  }
  const built = await buildCandidate(context, tip, tasks);
  for (const task of built.empty) await recordComplete(context, task);
  if (built.conflict !== null) {
    await sendConflictBack(context, built.conflict, tip.commit);
    return "settled";
  }
  if (built.candidate.links.length === 0) return "settled";
  crashPoint("landing.candidate-built");
  return landCandidate(context, judgeOnBase, built.candidate);
}

async function landCandidate(
  context: RunContext,
  judgeOnBase: BaseJudge,
  candidate: Candidate,
): Promise<LandingEnd> {
  const proof = await proveCandidate(context, candidate);
  if (context.stop.signal.aborted) return "stopped";
  if (proof.passed) return endOf(await moveIntegration(context, candidate, proof.verdicts));
  const failed = proof.verdicts.at(-1);
  if (failed === undefined) throw new Error("a failed proof without a verdict");
  const answer = await judgeInLightOfBase(context, judgeOnBase, candidate, failed);
  if (context.stop.signal.aborted) return "stopped";
  await recordRejected(context, candidate, answer, candidate.links.length);
  if (answer === "could-not-run" || answer === "fails-on-base-too") {
    stopFor(context, answer, failed);
    return "stopped";
  }
  const [first, ...others] = candidate.links;
  if (first !== undefined && others.length === 0) {
    const feedback = `On top of the newest ${context.config.main_branch}, \`${failed.command}\` said no (${failed.reason}). Its output ends with:\n\n${failed.outputTail}`;
    await sendBack(context, first.task, { reason: "landing-doctor-failed", feedback });
    return "settled";
  }
  return bisect(context, judgeOnBase, candidate);
}

/** The first half is a candidate already; the second is built anew on what is left of it. */
async function bisect(
  context: RunContext,
  judgeOnBase: BaseJudge,
  candidate: Candidate,
): Promise<LandingEnd> {
  const half = Math.ceil(candidate.links.length / 2);
  const rest = candidate.links.slice(half).map(({ task }) => task);
  const end = await landCandidate(context, judgeOnBase, prefixOf(candidate, half));
  return end === "settled" ? landBatch(context, judgeOnBase, rest) : end;
}

function endOf(moved: Moved): LandingEnd {
  return moved === "moved" ? "settled" : moved;
}

async function proveCandidate(
  context: RunContext,
  candidate: Candidate,
): Promise<{ verdicts: readonly GateVerdict[]; passed: boolean }> {
  const tip = tipOf(candidate);
  const tasks = candidate.links.map(({ task }) => task.row.task_id);
  await context.store.record((change) =>
    change.event(context.runId, {
      type: "landing.proposed",
      payload: { base: candidate.base, tip, tasks },
    }),
  );
  const manifests = candidate.links.map(({ task }) => task.manifest);
  const proof = await prove({
    provider: context.provider,
    workspaceId: gateWorkspaceId(context.runId, "landing"),
    seed: seedAt(context, tip, "candidate"),
    env: context.workEnv,
    gates: [...bootstrapGates(context.config), ...candidateGates(context.config, manifests)],
    signal: context.stop.signal,
  });
  await context.store.record(async (change) => {
    for (const verdict of proof.verdicts) {
      await change.event(context.runId, gateEvent(verdict, tip));
    }
  });
  return proof;
}

/** Proved, not assumed: the same gate is run on the commit below the candidate. */
async function judgeInLightOfBase(
  context: RunContext,
  judgeOnBase: BaseJudge,
  candidate: Candidate,
  failed: GateVerdict,
): Promise<GateVerdict["answer"]> {
  if (failed.gate === "bootstrap") return "could-not-run";
  if (failed.command === null) return failed.answer;
  const gate = candidateGates(
    context.config,
    candidate.links.map(({ task }) => task.manifest),
  ).find(({ command }) => command === failed.command);
  if (gate === undefined) return failed.answer;
  const onBase = await judgeOnBase(candidate.base, gate);
  if (failed.answer === "could-not-run") {
    return onBase.answer === "could-not-run" ? "could-not-run" : "fail";
  }
  return onBase.answer === "pass" ? "fail" : "fails-on-base-too";
}

async function recordRejected(
  context: RunContext,
  candidate: Candidate,
  answer: GateVerdict["answer"],
  size: number,
): Promise<void> {
  const next = answer !== "fail" ? "stop" : size === 1 ? "send-back" : "bisect";
  const tasks = candidate.links.map(({ task }) => task.row.task_id);
  await context.store.record((change) =>
    change.event(context.runId, {
      type: "landing.rejected",
      payload: { tip: tipOf(candidate), tasks, answer, next },
    }),
  );
}

function stopFor(
  context: RunContext,
  answer: "could-not-run" | "fails-on-base-too",
  failed: GateVerdict,
): void {
  const branch = context.config.main_branch;
  context.stop.request(
    answer === "could-not-run"
      ? {
          reason: "gate-could-not-run",
          message: `${failed.gate} could not run on the candidate: ${failed.reason}`,
          hint: `mend \`${failed.command}\` or install what it needs, then \`mycelium resume\``,
        }
      : {
          reason: "base-is-broken",
          message: `\`${failed.command}\` fails on ${branch} itself, so nothing can be proved on it`,
          hint: `mend ${branch}, then \`mycelium resume\``,
        },
  );
}

async function sendConflictBack(
  context: RunContext,
  conflict: NonNullable<Built["conflict"]>,
  base: string,
): Promise<void> {
  const { task, paths, text } = conflict;
  const branch = context.config.main_branch;
  await sendBack(context, task, {
    reason: "conflict",
    feedback: `The last try's work conflicts with what has landed on ${branch} since. It was set aside; do the task again on the new base. The conflict:\n\n${text}`,
    alsoRecord: (change) =>
      change.event(context.runId, {
        type: "landing.conflicted",
        task_id: task.row.task_id,
        attempt: task.row.attempts,
        payload: { base, paths: [...paths] },
      }),
  });
}
