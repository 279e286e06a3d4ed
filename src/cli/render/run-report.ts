import type { RunReport, TaskReport, UsageFigures } from "../../control/operations/reports.ts";
import {
  commitText,
  costText,
  countText,
  durationText,
  firstLine,
  numberText,
} from "../../domain/words.ts";
import { paintState, type Style } from "./style.ts";
import { renderTable, type Cell } from "./table.ts";
import { plainLine, plainText } from "./terminal-text.ts";

/** A run for people: how it stands, its tasks as a table, what went wrong, what to do next. */
export function renderRunReport(report: RunReport, style: Style): string {
  const { run_id, status, branch, base_commit, agent, max_parallel } = report;
  const isOrphan = status === "running" && !report.is_live;
  const state = paintState(
    style,
    isOrphan ? "paused" : status,
    isOrphan ? "running, without a process" : status,
  );
  return [
    `${style.bold(`Run ${plainLine(run_id)}`)}: ${state}`,
    style.dim(
      plainLine(
        `on ${branch} from ${commitText(base_commit)}, agent ${agent}, ${max_parallel} at once, ` +
          `started ${dateText(report.started_at)}, ${durationText(report.duration_ms)}`,
      ),
    ),
    ...stopLines(report, style),
    "",
    ...taskTable(report.tasks, style),
    "",
    ...troubleLines(report.tasks, style),
    totalLine(report),
    `${style.bold("Next:")} ${plainText(report.next)}`,
  ].join("\n");
}

function stopLines({ stop }: RunReport, style: Style): readonly string[] {
  if (stop === null) return [];
  return [`${style.yellow("Stopped:")} ${plainText(stop.message)} (${plainLine(stop.reason)})`];
}

const HEAD = ["TASK", "STATE", "ATTEMPTS", "TIME", "TOKENS", "COST", "LANDED", "NAME"] as const;

function taskTable(tasks: readonly TaskReport[], style: Style): readonly string[] {
  const rows = tasks.map((task): readonly (Cell | string)[] => [
    task.id,
    { text: task.state, paint: (text) => paintState(style, task.state, text) },
    String(task.attempts),
    task.duration_ms === null ? "-" : durationText(task.duration_ms),
    task.attempts === 0 ? "-" : tokensText(task.usage),
    task.attempts === 0 ? "-" : costOf(task.usage),
    task.landed_commit === null ? "-" : commitText(task.landed_commit),
    task.name,
  ]);
  return renderTable(HEAD, rows, style.dim);
}

/** Why tasks that are not complete are not, a line each. */
function troubleLines(tasks: readonly TaskReport[], style: Style): readonly string[] {
  const troubled = tasks.filter(({ state, reason }) => state !== "complete" && reason !== null);
  if (troubled.length === 0) return [];
  const lines = troubled.map((task) => {
    const why = firstLine(task.message ?? "");
    const said = task.gates.findLast(({ answer }) => answer !== "pass");
    const gate =
      said === undefined ? "" : `; ${said.gate}: ${said.answer}, ${firstLine(said.reason)}`;
    const text = `${task.reason}${why === "" ? "" : `: ${why}`}${gate}`;
    return `  ${paintState(style, task.state, plainLine(task.id))}  ${plainLine(text)}`;
  });
  return [...lines, ""];
}

function totalLine({ counts, tasks, usage }: RunReport): string {
  const states = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${numberText(count)} ${state.replaceAll("_", " ")}`);
  const landed = tasks.filter(({ landed_commit }) => landed_commit !== null).length;
  const parts = [
    `${countText(tasks.length, "task")}: ${states.join(", ")}`,
    `${numberText(landed)} landed`,
    spendText(usage),
  ];
  return `${parts.join("; ")}.`;
}

function spendText(usage: UsageFigures): string {
  if (usage.tokens === null) return "tokens and cost unknown, the agents did not tell";
  const least = usage.silent_attempts > 0 ? "at least " : "";
  const silent =
    usage.silent_attempts > 0
      ? `, ${countText(usage.silent_attempts, "attempt")} did not tell`
      : "";
  const cost = usage.cost_usd === null ? "cost unknown" : costText(usage.cost_usd);
  return `${least}${countText(usage.tokens, "token")}, ${cost}${silent}`;
}

function tokensText({ tokens, silent_attempts }: UsageFigures): string {
  if (tokens === null) return "unknown";
  return silent_attempts > 0 ? `${numberText(tokens)}+` : numberText(tokens);
}

function costOf({ cost_usd }: UsageFigures): string {
  return cost_usd === null ? "unknown" : costText(cost_usd);
}

/** `2026-11-20 11:50:38Z`. */
export function dateText(timestamp: string): string {
  return `${timestamp.slice(0, 10)} ${timestamp.slice(11, 19)}Z`;
}
