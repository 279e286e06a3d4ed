import type { CleanedRun, CleanReport } from "../../control/operations/clean.ts";
import { countText } from "../../domain/words.ts";
import type { Style } from "./style.ts";
import { plainLine } from "./terminal-text.ts";

/** What was removed, or would be, and what was left alone. */
export function renderClean(report: CleanReport, style: Style): string {
  const { runs, refused, dry_run, bytes } = report;
  const lines = [
    ...runs.flatMap((run) => renderRun(run, style)),
    ...refused.flatMap(({ run_id, reasons, hint }) => [
      `${style.bold(`Run ${plainLine(run_id)}`)} ${style.yellow("is left alone")}:`,
      ...reasons.map((reason) => `  ${plainLine(reason)}`),
      `  ${style.bold("Next:")} ${plainLine(hint)}`,
    ]),
  ];
  if (lines.length === 0) return "There is nothing to clean.";
  const verb = dry_run ? "Would remove" : "Removed";
  const total = `${verb} ${countText(runs.length, "run")}, ${sizeText(bytes)}.`;
  return runs.length === 0 ? lines.join("\n") : [...lines, total].join("\n");
}

function renderRun(run: CleanedRun, style: Style): readonly string[] {
  const { run_id, status, workspaces, refs, logs, losses } = run;
  const size = workspaces.reduce((sum, { bytes }) => sum + bytes, 0);
  const parts = [
    workspaces.length > 0 && `${countText(workspaces.length, "workspace")} (${sizeText(size)})`,
    refs.length > 0 && countText(refs.length, "ref"),
    logs !== null && `logs (${sizeText(logs.bytes)})`,
    status !== null && "its records",
  ].filter((part) => part !== false);
  return [
    `${style.bold(`Run ${plainLine(run_id)}`)}${status === null ? "" : `, ${status}`}: ${parts.join(", ")}`,
    ...losses.map((loss) => `  ${style.red("lost with it:")} ${plainLine(loss)}`),
  ];
}

const UNITS = ["B", "KB", "MB", "GB", "TB"] as const;

export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${UNITS[unit]}`;
}
