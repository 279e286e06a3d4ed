import type { AgentEvent } from "../agents/agent.ts";
import type { NewEvent } from "../domain/event.ts";
import type { Exceedance } from "../domain/budget.ts";
import { priceUsage } from "../domain/usage.ts";
import type { Workspace } from "../workspaces/workspace.ts";
import type { AttemptMeans, AttemptOrder, AttemptOutcome } from "./attempt.ts";
import { contextFiles } from "./prepare-workspace.ts";

type Ended = Extract<AgentEvent, { kind: "ended" }>;

/** Text of one attempt that is kept in the log; the rest is counted and dropped. */
const TEXT_BYTES_MAX = 1_048_576;

/**
 * Lets the agent work and records what it tells, stopping it in the middle when a budget in block
 * mode is spent. Answers an outcome where the attempt is over with that, `null` where its work can
 * be judged.
 */
export async function superviseAgent(
  order: AttemptOrder,
  means: AttemptMeans,
  workspace: Workspace,
): Promise<AttemptOutcome | null> {
  const stop = new AbortController();
  const signal = AbortSignal.any([means.signal, stop.signal]);
  const log = makeAgentLog(means);
  let usageSeen = false;
  let spent: readonly Exceedance[] = checkBudget(order, means);
  let ended: Ended | null = null;
  if (spent.length > 0) await recordSpent(means, spent);
  if (spent.length > 0 && means.ledger.mode === "block") return budgetSpent(spent);

  const files = contextFiles(order, workspace);
  const events = means.agent.work({
    runId: order.runId,
    taskId: order.taskId,
    attempt: order.number,
    manifest: order.manifest,
    spec: order.spec,
    feedback: order.feedback,
    base: order.base,
    workspace,
    specFile: files.spec,
    manifestFile: files.manifest,
    feedbackFile: files.feedback,
    timeoutMs: means.rules.agentTimeoutMs,
    signal,
  });
  for await (const event of events) {
    await log.tell(event);
    if (event.kind === "ended") ended = event;
    if (event.kind !== "usage") continue;
    usageSeen = true;
    const usage = priceUsage(event.usage, means.prices);
    await means.recordUsage(usage);
    means.ledger.add(order.taskId, usage);
    spent = await applyBudget(order, means, spent);
    if (spent.length > 0 && means.ledger.mode === "block") stop.abort();
  }
  await log.close();
  if (spent.length > 0 && means.ledger.mode === "block") return budgetSpent(spent);
  if (means.signal.aborted) return { kind: "interrupted" };
  return (await unknownUsage(order, means, usageSeen)) ?? judgeEnding(ended, means.agent.name);
}

function checkBudget(order: AttemptOrder, means: AttemptMeans): readonly Exceedance[] {
  return means.ledger.exceedances(order.taskId, order.manifest.budget);
}

/** Records limits that are newly exceeded; in block mode only the first time. */
async function applyBudget(
  order: AttemptOrder,
  means: AttemptMeans,
  before: readonly Exceedance[],
): Promise<readonly Exceedance[]> {
  if (before.length > 0 && means.ledger.mode === "block") return before;
  const spent = checkBudget(order, means);
  if (spent.length > 0) await recordSpent(means, spent);
  return spent;
}

async function recordSpent(means: AttemptMeans, spent: readonly Exceedance[]): Promise<void> {
  const type = means.ledger.mode === "block" ? "budget.block" : "budget.warn";
  await means.record(spent.map((exceedance): NewEvent => ({ type, payload: { ...exceedance } })));
}

/** A limit in block mode on an agent that tells nothing of its usage cannot be judged: it blocks. */
async function unknownUsage(
  order: AttemptOrder,
  means: AttemptMeans,
  usageSeen: boolean,
): Promise<AttemptOutcome | null> {
  const own = order.manifest.budget;
  if (usageSeen || means.ledger.mode !== "block" || !means.ledger.limits(own)) return null;
  const message = `agent ${means.agent.name} did not report what it used, and a budget blocks`;
  await means.record([
    {
      type: "budget.block",
      payload: { scope: "task", unit: "tokens", limit: 0, used: null, message },
    },
  ]);
  return {
    kind: "stopped",
    reason: "budget",
    message,
    hint: "let it print turn.completed lines with its usage, or set budgets.mode to warn",
    verdicts: [],
  };
}

function budgetSpent(spent: readonly Exceedance[]): AttemptOutcome {
  return {
    kind: "stopped",
    reason: "budget",
    message: spent.map(({ message }) => message).join("; "),
    hint: "raise the limit under `budgets` in the configuration, then `mycelium resume`",
    verdicts: [],
  };
}

function judgeEnding(ended: Ended | null, agent: string): AttemptOutcome | null {
  if (ended?.reason === "completed") return null;
  if (ended?.reason === "program-missing") {
    return {
      kind: "stopped",
      reason: "agent-missing",
      message: `agent ${agent} could not be started: ${ended.message}`,
      hint: "install it or mend its command under `agents` in the configuration, then `mycelium resume`",
      verdicts: [],
    };
  }
  const why = ended === null ? "ended without a word" : `${ended.reason}: ${ended.message}`;
  return {
    kind: "rejected",
    reason: ended?.reason === "timed-out" ? "agent-timed-out" : "agent-failed",
    feedback: `The agent's last try did not come to its end (${why}).`,
    keepWorkspace: true,
    verdicts: [],
  };
}

interface AgentLog {
  tell(event: AgentEvent): Promise<void>;
  close(): Promise<void>;
}

/** Turns what an agent tells into events, with a bound on its talk. */
function makeAgentLog(means: AttemptMeans): AgentLog {
  let kept = 0;
  let dropped = 0;
  return {
    tell: async (event) => {
      if (event.kind === "text") {
        const size = Buffer.byteLength(event.text);
        if (kept + size > TEXT_BYTES_MAX) {
          dropped += size;
          return;
        }
        kept += size;
      }
      const told = agentEvent(event, means.agent.name);
      if (told !== null) await means.record([told]);
    },
    close: async () => {
      if (dropped === 0) return;
      const payload = { source: "agent", kept_bytes: kept, dropped_bytes: dropped };
      await means.record([{ type: "output.truncated", payload }]);
    },
  };
}

function agentEvent(event: AgentEvent, agent: string): NewEvent | null {
  switch (event.kind) {
    case "started":
      return { type: "agent.started", payload: { agent, session: event.session } };
    case "text":
      return { type: "agent.text", payload: { stream: event.stream, text: event.text } };
    case "tool":
      return { type: "agent.tool", payload: { name: event.name, summary: event.summary } };
    case "usage":
      return null;
    case "quota":
      return {
        type: "agent.quota",
        payload: { resets_at: event.resetsAt, message: event.message },
      };
    case "ended":
      return {
        type: "agent.ended",
        payload: { reason: event.reason, exit_code: event.exitCode, message: event.message },
      };
  }
}
