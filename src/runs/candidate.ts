import { TRAILERS } from "../domain/receipt.ts";
import type { AttemptRow } from "../store/attempts.ts";
import { findAttempt } from "../store/attempts.ts";
import type { BoardTask } from "./board.ts";
import type { RunContext } from "./run-context.ts";

/** One task's commit as it would stand on the integration branch. */
export interface Link {
  readonly task: BoardTask;
  readonly attempt: AttemptRow;
  readonly parent: string;
  readonly commit: string;
  readonly tree: string;
}

/** Commits of several tasks, each on the one before, the first on the branch's tip. */
export interface Candidate {
  readonly base: string;
  readonly baseTree: string;
  readonly links: readonly Link[];
}

export interface Built {
  readonly candidate: Candidate;
  /** The first task, where it conflicts with the branch as it is now. */
  readonly conflict: {
    readonly task: BoardTask;
    readonly paths: readonly string[];
    readonly text: string;
  } | null;
  /** Tasks whose change is in the branch already. */
  readonly empty: readonly BoardTask[];
}

/** Who stands as author of landed commits, beside the agent's name in their receipts. */
const AUTHOR = { name: "Mycelium", email: "mycelium@localhost" };

/**
 * Builds the chain without a checkout. A task that conflicts only with others of this batch is left
 * out: once they have landed, its turn comes again.
 */
export async function buildCandidate(
  context: RunContext,
  base: { readonly commit: string; readonly tree: string },
  tasks: readonly BoardTask[],
): Promise<Built> {
  const links: Link[] = [];
  const empty: BoardTask[] = [];
  let tip = base;
  for (const task of tasks) {
    const source = requireSource(task);
    const merged = await context.repository.mergeInto({ tip: tip.commit, commit: source });
    if (merged.kind === "conflict") {
      if (links.length > 0) continue;
      const { paths, text } = merged;
      return { candidate: candidateOf(base, links), empty, conflict: { task, paths, text } };
    }
    if (merged.tree === tip.tree) {
      empty.push(task);
      continue;
    }
    const link = await makeLink(context, task, tip.commit, merged.tree);
    links.push(link);
    tip = link;
  }
  return { candidate: candidateOf(base, links), empty, conflict: null };
}

function candidateOf(base: { commit: string; tree: string }, links: readonly Link[]): Candidate {
  return { base: base.commit, baseTree: base.tree, links };
}

export function tipOf(candidate: Candidate): string {
  return candidate.links.at(-1)?.commit ?? candidate.base;
}

/** The first `count` tasks of a candidate: a candidate as well. */
export function prefixOf(candidate: Candidate, count: number): Candidate {
  return { ...candidate, links: candidate.links.slice(0, count) };
}

async function makeLink(
  context: RunContext,
  task: BoardTask,
  parent: string,
  tree: string,
): Promise<Link> {
  const attempt = await requireAttempt(context, task);
  const merge = context.config.landing.strategy === "merge";
  const commit = await context.repository.commitTree({
    tree,
    parents: merge ? [parent, requireSource(task)] : [parent],
    message: messageOf(context, task, attempt),
    author: AUTHOR,
    dateMs: context.store.clock.now(),
  });
  return { task, attempt, parent, commit, tree };
}

function messageOf(context: RunContext, { manifest }: BoardTask, attempt: AttemptRow): string {
  const subject = manifest.name.replaceAll(/\s+/g, " ");
  const body = manifest.description.trim();
  const trailers = [
    `${TRAILERS.run}: ${context.runId}`,
    `${TRAILERS.task}: ${manifest.id}`,
    `${TRAILERS.attempt}: ${attempt.token}`,
  ];
  return [subject, ...(body === "" ? [] : [body]), trailers.join("\n")].join("\n\n") + "\n";
}

export function requireSource({ row }: BoardTask): string {
  if (row.source_commit === null) throw new Error(`task ${row.task_id} has nothing to land`);
  return row.source_commit;
}

async function requireAttempt(context: RunContext, { row }: BoardTask): Promise<AttemptRow> {
  const key = { runId: context.runId, taskId: row.task_id, number: row.attempts };
  const attempt = await findAttempt(context.store.tables, key);
  if (attempt === undefined) throw new Error(`task ${row.task_id} has no attempt ${row.attempts}`);
  return attempt;
}
