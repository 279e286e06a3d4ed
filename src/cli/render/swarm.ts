import type { ShownMerge, ShownSwarm } from "../../control/operations/swarm.ts";
import { durationText } from "../../domain/words.ts";
import type { Style } from "./style.ts";
import { renderTable } from "./table.ts";
import { plainLine } from "./terminal-text.ts";

export function renderSwarm(swarm: ShownSwarm, style: Style): string {
  const { swarm_id: id, state, message, summary, tasks, merge } = swarm;
  const rows = tasks.map((task) => [
    task.name,
    task.state,
    task.exit_code === null ? (task.timed_out ? "time" : "-") : String(task.exit_code),
    durationText(task.elapsed_ms),
    task.merged ? "yes" : "-",
    task.worker === "kept" || task.worker === "made" ? (task.workspace_id ?? "-") : "-",
    task.error ?? (task.rescued === null ? "" : `work in ${task.rescued}`),
  ]);
  const head = ["TASK", "STATE", "EXIT", "TIME", "MERGED", "WORKER", "NOTE"];
  const counts = `${summary.succeeded} of ${summary.total_tasks} succeeded`;
  const took = durationText(summary.total_elapsed_ms);
  const lines = [
    `${style.bold(id)} ${state}: ${counts}, ${took}${message === null ? "" : `: ${plainLine(message)}`}`,
    ...renderTable(head, rows, style.dim),
    ...(merge === null ? [] : [renderMerge(merge, style)]),
  ];
  const next = nextStep(swarm);
  return [...lines, ...(next === null ? [] : [`${style.bold("Next:")} ${next}`])].join("\n");
}

function nextStep({ swarm_id: id, state, merge, summary }: ShownSwarm): string | null {
  if (state === "interrupted") return `mycelium swarm resume ${id}`;
  if (state !== "failed") return null;
  if (summary.failed > 0) return `mycelium swarm retry ${id}`;
  const target = merge?.target_workspace ?? "the target";
  return `correct ${target} or the workers that stay, then mycelium swarm resume ${id}`;
}

export function renderMerge(merge: ShownMerge, style: Style): string {
  const { outcome, total_commits_applied: commits, target_workspace: target, message } = merge;
  const what =
    outcome === "landed"
      ? `${commits} commits are in ${target}`
      : `${outcome}${message === null ? "" : `: ${message}`}`;
  const lines = merge.sources.flatMap(({ name, status, conflicts, message: why }) => [
    `  ${plainLine(name)} ${status}${why === null ? "" : `: ${plainLine(why)}`}`,
    ...conflicts.map(({ path, kind, against }) => {
      const who = against.length === 0 ? target : against.join(", ");
      return plainLine(`    ${kind} ${path}, with ${who}`);
    }),
  ]);
  return [`${style.bold("merge")} ${plainLine(what)}`, ...lines].join("\n");
}

export function renderSwarmList(
  { swarms }: { readonly swarms: readonly SwarmLine[] },
  style: Style,
): string {
  if (swarms.length === 0) return "There are no swarms.";
  const rows = swarms.map(({ swarm_id, state, started_at, tasks, succeeded }) => [
    swarm_id,
    state,
    started_at,
    `${succeeded}/${tasks}`,
  ]);
  return renderTable(["SWARM", "STATE", "STARTED", "SUCCEEDED"], rows, style.dim).join("\n");
}

interface SwarmLine {
  readonly swarm_id: string;
  readonly state: string;
  readonly started_at: string;
  readonly tasks: number;
  readonly succeeded: number;
}
