import type { RunState, StopReason } from "../domain/run.ts";

export interface RunSituation {
  readonly runId: string;
  readonly status: RunState;
  readonly stopReason: string | null;
  /** What the run itself said when it stopped. */
  readonly hint: string | null;
  /** The process that conducts it, where there is one. */
  readonly owner: { readonly pid: number; readonly host: string } | null;
  readonly branch: string;
  readonly landed: number;
}

/** What a person does next, in one sentence. */
export function nextStep(run: RunSituation): string {
  const resume = `\`mycelium resume ${run.runId}\``;
  switch (run.status) {
    case "running":
      return run.owner === null
        ? `Its process is gone; ${resume} goes on where it stopped, nothing is lost.`
        : `It runs as process ${run.owner.pid} on ${run.owner.host}; \`mycelium logs follow ${run.runId}\` shows it live.`;
    case "complete":
      return run.landed === 0
        ? `Nothing had to land on ${run.branch}; \`mycelium clean --run-id ${run.runId}\` removes what it left.`
        : `See it with \`git log ${run.branch}\`; \`mycelium clean --run-id ${run.runId}\` removes what it left.`;
    case "paused":
    case "failed":
      return asSentence(run.hint ?? remedyFor(run.stopReason, run.runId) ?? `then ${resume}`);
  }
}

function asSentence(text: string): string {
  const first = text.slice(0, 1);
  const sentence = first.toUpperCase() + text.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}

/** For stops without a word of their own, such as one that was recorded by another version. */
function remedyFor(reason: string | null, runId: string): string | null {
  const resume = `then \`mycelium resume ${runId}\``;
  const remedies: Readonly<Record<StopReason, string>> = {
    "interrupted": `\`mycelium resume ${runId}\` goes on from here`,
    "terminated": `\`mycelium resume ${runId}\` goes on from here`,
    "checkout-blocked": `commit or stash the changes in the checkout of the branch, ${resume}`,
    "ref-locked": `remove the lock file that a dead git process left, ${resume}`,
    "budget": `raise the limit under \`budgets\`, ${resume}`,
    "manifest": `widen \`files.writes\` in the task's manifest, ${resume}`,
    "task-failed": `\`mycelium logs failures ${runId}\` says why; mend it, ${resume}`,
    "agent-missing": `install the agent or mend its command under \`agents\`, ${resume}`,
    "gate-could-not-run": `mend the gate's command or install what it needs, ${resume}`,
    "base-is-broken": `mend the branch so that its own doctor passes, ${resume}`,
    "disk-full": `free some space, ${resume}`,
    "internal": `\`mycelium logs failures ${runId}\` says more; ${resume}`,
  };
  return reason !== null && reason in remedies ? remedies[reason as StopReason] : null;
}
