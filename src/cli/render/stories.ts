import type { LogFailures, LoggedFailure, LogSummary } from "../../control/operations/logs.ts";
import { countText, durationText } from "../../domain/words.ts";
import { subjectOf } from "./events.ts";
import type { Style } from "./style.ts";
import { plainLine, plainText } from "./terminal-text.ts";

/** Lines of an output's end that are shown. */
const DETAIL_LINES_MAX = 30;

export function renderFailures({ failures, run_id }: LogFailures, style: Style): string {
  if (failures.length === 0) return `Nothing went wrong in run ${plainLine(run_id)}.`;
  return failures.map((failure) => renderFailure(failure, style)).join("\n");
}

function renderFailure(failure: LoggedFailure, style: Style): string {
  const { ts, task_id, attempt, what, reason, detail } = failure;
  const subject = subjectOf(task_id, attempt);
  const head = `${style.dim(ts.slice(11, 19))}  ${subject}${style.red(plainLine(what))}`;
  const lines = plainText(detail).trimEnd().split("\n");
  const shown = lines.slice(-DETAIL_LINES_MAX).filter((_, at) => detail.trim() !== "" || at > 0);
  const left = lines.length - DETAIL_LINES_MAX;
  return [
    `${head}  ${plainLine(reason)}`,
    ...(left > 0 ? [style.dim(`    … ${countText(left, "line")} before`)] : []),
    ...shown.map((line) => `    ${line}`),
  ].join("\n");
}

export function renderSummary(summary: LogSummary, style: Style): string {
  const section = (title: string, lines: readonly string[]): readonly string[] =>
    lines.length === 0 ? [] : ["", style.bold(title), ...lines];
  return [
    `${style.bold(`Run ${plainLine(summary.run_id)}`)}. ${plainText(summary.headline)}`,
    ...section(
      "Tasks",
      summary.tasks.map(({ text }) => plainText(text)),
    ),
    ...section(
      "Landings",
      summary.landings.map((text) => plainLine(text)),
    ),
    ...section("Spent", [plainLine(summary.spend)]),
    ...section(
      "Slowest",
      summary.slowest.map(
        ({ what, duration_ms }) => `${durationText(duration_ms)}  ${plainLine(what)}`,
      ),
    ),
  ].join("\n");
}
