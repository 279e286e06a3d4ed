import type { GateVerdict } from "../domain/gate.ts";
import { findViolations, rescope, type Violation } from "../gates/manifest.ts";
import { runCommandGate, type CommandGate } from "../gates/command.ts";
import { crashPoint } from "../lib/crash-point.ts";
import type { Workspace } from "../workspaces/workspace.ts";
import type { AttemptMeans, AttemptOrder, AttemptOutcome } from "./attempt.ts";
import { gateEvent } from "./gate-event.ts";

/** Brings the commits in and puts them before the gates, the cheap ones first. */
export async function judgeWork(
  order: AttemptOrder,
  means: AttemptMeans,
  workspace: Workspace,
): Promise<AttemptOutcome> {
  const collected = await workspace.collect(order.base);
  if (!collected.ok) return broken(collected.failure.message);
  const { bundle, head } = collected.value;
  if (bundle === null && order.manifest.files.writes.length > 0) return unchanged();

  const paths = bundle === null ? [] : await bringIn(means, bundle, head);
  if (typeof paths === "string") return broken(paths);
  if (bundle !== null && paths.length === 0 && order.manifest.files.writes.length > 0) {
    return unchanged();
  }
  crashPoint("bundle.imported");

  const violations = await findAndRecordViolations(order, means, paths);
  const outcome = judgeViolations(order, means, violations);
  if (outcome !== null) return outcome;
  return judgeByCommands(order, means, { workspace, head, paths, violations });
}

async function bringIn(
  means: AttemptMeans,
  bundle: string,
  head: string,
): Promise<readonly string[] | string> {
  const brought = await means.bringIn(bundle, head);
  return brought.kind === "imported" ? brought.paths : brought.message;
}

function broken(message: string): AttemptOutcome {
  return {
    kind: "rejected",
    reason: "workspace-broken",
    feedback: `The commits could not be brought in: ${message}`,
    keepWorkspace: false,
    verdicts: [],
  };
}

function unchanged(): AttemptOutcome {
  return {
    kind: "rejected",
    reason: "no-changes",
    feedback:
      "The last try changed nothing, and the task's manifest says that files are to change.",
    keepWorkspace: true,
    verdicts: [],
  };
}

async function findAndRecordViolations(
  order: AttemptOrder,
  means: AttemptMeans,
  paths: readonly string[],
): Promise<readonly Violation[]> {
  const { enforcement, resources } = means.rules;
  if (enforcement === "off") return [];
  const violations = findViolations(order.manifest, paths, resources);
  if (violations.length === 0) return [];
  const payload = { enforcement, violations: violations.map((violation) => ({ ...violation })) };
  await means.record([{ type: "manifest.violated", payload }]);
  return violations;
}

function judgeViolations(
  order: AttemptOrder,
  { rules }: AttemptMeans,
  violations: readonly Violation[],
): AttemptOutcome | null {
  if (violations.length === 0) return null;
  if (rules.autoRescope) return rescoped(order, violations);
  if (rules.enforcement === "warn") return null;
  return {
    kind: "stopped",
    reason: "manifest",
    message: `task ${order.taskId} wrote outside its manifest: ${describe(violations)}`,
    hint: "widen files.writes or locks.writes in its manifest.json, or set auto_rescope, then `mycelium resume`",
    verdicts: [manifestVerdict("fail", describe(violations))],
  };
}

function rescoped(order: AttemptOrder, violations: readonly Violation[]): AttemptOutcome {
  const { manifest } = rescope(order.manifest, violations);
  return {
    kind: "rejected",
    reason: "manifest-rescoped",
    feedback: `The last try wrote outside the manifest (${describe(violations)}); the manifest now allows it.`,
    keepWorkspace: false,
    verdicts: [manifestVerdict("fail", describe(violations))],
    rescoped: manifest,
  };
}

/** Named in messages; the event holds them all. */
const VIOLATIONS_NAMED_MAX = 10;

function describe(violations: readonly Violation[]): string {
  const named = violations
    .slice(0, VIOLATIONS_NAMED_MAX)
    .map(({ path, resource }) => (resource === null ? path : `${path} (resource ${resource})`));
  const more = violations.length - named.length;
  return named.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function manifestVerdict(answer: "pass" | "fail", reason: string): GateVerdict {
  return {
    gate: "manifest",
    answer,
    reason,
    command: null,
    exitCode: null,
    durationMs: 0,
    logDigest: null,
    outputTail: "",
  };
}

interface Work {
  readonly workspace: Workspace;
  readonly head: string;
  readonly paths: readonly string[];
  /** What warn mode lets through. */
  readonly violations: readonly Violation[];
}

async function judgeByCommands(
  order: AttemptOrder,
  means: AttemptMeans,
  work: Work,
): Promise<AttemptOutcome> {
  const verdicts: GateVerdict[] = manifestEvidence(means, work);
  for (const gate of means.rules.gates(order.manifest)) {
    const verdict = await judgeByCommand(order, means, work.workspace, gate);
    verdicts.push(verdict);
    await means.record([gateEvent(verdict, work.head)]);
    if (means.signal.aborted) return { kind: "interrupted" };
    if (verdict.answer !== "pass") return refused(verdict, verdicts);
  }
  const commit = work.paths.length === 0 ? null : work.head;
  return { kind: "validated", commit, files: work.paths.length, verdicts };
}

/** A receipt must not claim a manifest gate that was off, or one that only warned. */
function manifestEvidence(means: AttemptMeans, { paths, violations }: Work): GateVerdict[] {
  if (means.rules.enforcement === "off") return [];
  if (violations.length > 0) return [manifestVerdict("fail", `warned: ${describe(violations)}`)];
  return [manifestVerdict("pass", `${paths.length} changed paths, all declared`)];
}

/** A no is put into the light of the base: does the same gate say no there, too? */
async function judgeByCommand(
  order: AttemptOrder,
  means: AttemptMeans,
  workspace: Workspace,
  gate: CommandGate,
): Promise<GateVerdict> {
  const verdict = await runCommandGate({ ...gate, workspace, signal: means.signal, env: {} });
  if (verdict.answer === "pass" || means.signal.aborted) return verdict;
  const onBase = await means.judgeOnBase(order.base, gate);
  if (means.signal.aborted) return verdict;
  if (verdict.answer === "could-not-run") {
    if (onBase.answer === "could-not-run") return verdict;
    return { ...verdict, answer: "fail", reason: `${verdict.reason}, though it runs on the base` };
  }
  if (onBase.answer === "pass") return verdict;
  return {
    ...verdict,
    answer: "fails-on-base-too",
    reason: `${verdict.reason}, on the base as well`,
  };
}

function refused(verdict: GateVerdict, verdicts: readonly GateVerdict[]): AttemptOutcome {
  if (verdict.answer === "could-not-run") {
    return {
      kind: "stopped",
      reason: "gate-could-not-run",
      message: `${verdict.gate} could not run: ${verdict.reason}`,
      hint: `mend \`${verdict.command}\` or install what it needs, then \`mycelium resume\``,
      verdicts,
    };
  }
  return {
    kind: "rejected",
    reason: verdict.answer === "fails-on-base-too" ? "base-is-broken" : `${verdict.gate}-failed`,
    feedback: `\`${verdict.command}\` said no (${verdict.reason}). Its output ends with:\n\n${verdict.outputTail}`,
    keepWorkspace: true,
    verdicts,
  };
}
