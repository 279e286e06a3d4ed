import { crashPoint } from "../lib/crash-point.ts";
import { checkpoint } from "../workspaces/checkpoint.ts";
import type { Workspace } from "../workspaces/workspace.ts";
import type { AttemptMeans, AttemptOrder, AttemptOutcome } from "./attempt.ts";
import { superviseAgent } from "./supervise-agent.ts";
import { judgeWork } from "./judge-work.ts";
import { prepareWorkspace } from "./prepare-workspace.ts";

/** Committing a worker's files takes as long as hashing them. */
const CHECKPOINT_TIMEOUT_MS = 600_000;

/**
 * One try at a task, from an empty workspace to an outcome:
 * workspace → bootstrap → agent → checkpoint → bundle in → manifest → lint, fast, doctor.
 *
 * Never throws for what the agent, its commands or its repository do. The workspace is left as it
 * is: whoever records the outcome decides whether it is still needed.
 */
export async function runAttempt(
  order: AttemptOrder,
  means: AttemptMeans,
): Promise<AttemptOutcome> {
  const prepared = await prepareWorkspace(order, means);
  if (prepared.kind !== "ready") return prepared.outcome;
  crashPoint("workspace.created");

  const stopped = await superviseAgent(order, means, prepared.workspace);
  if (stopped !== null) return stopped;
  crashPoint("agent.ended");

  const committed = await commitWork(order, prepared.workspace);
  if (committed !== null) return committed;
  crashPoint("checkpoint.made");

  const outcome = await judgeWork(order, means, prepared.workspace);
  return means.signal.aborted ? { kind: "interrupted" } : outcome;
}

/** Commits what the agent left uncommitted; an outcome only where that is impossible. */
async function commitWork(
  order: AttemptOrder,
  workspace: Workspace,
): Promise<AttemptOutcome | null> {
  const made = await checkpoint(workspace, {
    message: `${order.taskId}: ${order.manifest.name}`,
    author: { name: "Mycelium", email: "mycelium@localhost" },
    timeoutMs: CHECKPOINT_TIMEOUT_MS,
  });
  if (made.ok) return null;
  return {
    kind: "rejected",
    reason: "workspace-broken",
    feedback: `The work could not be committed: ${made.failure.message}\nLeave the .git folder alone.`,
    keepWorkspace: false,
    verdicts: [],
  };
}
