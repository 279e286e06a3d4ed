import type { InitOutput } from "../../control/operations/init.ts";
import type { PlanOutput } from "../../control/operations/plan.ts";
import type { RunPreview } from "../../control/operations/run.ts";
import { countText, listText } from "../../domain/words.ts";
import type { Style } from "./style.ts";
import { renderTable } from "./table.ts";
import { plainLine } from "./terminal-text.ts";

export function renderInit({ written, doctor, missing }: InitOutput, style: Style): string {
  const next =
    missing.length > 0
      ? `fill in ${listText(missing)}, which could not be guessed.`
      : "look through it, write a plan, then `mycelium plan --input PLAN.md`.";
  return [
    ...written.map((path) => `Wrote ${plainLine(path)}`),
    ...(doctor === null
      ? []
      : [`The doctor is \`${plainLine(doctor)}\`: nothing lands unless it passes.`]),
    `${style.bold("Next:")} ${next}`,
  ].join("\n");
}

export function renderPlan({ tasks, tasks_dir, dry_run }: PlanOutput, style: Style): string {
  const rows = tasks.map(({ id, name, dependencies }) => [
    id,
    dependencies.length === 0 ? "-" : dependencies.join(", "),
    name,
  ]);
  const count = countText(tasks.length, "task");
  const where = plainLine(tasks_dir);
  return [
    dry_run ? `${count}, nothing was written:` : `${count} in ${where}:`,
    "",
    ...renderTable(["TASK", "AFTER", "NAME"], rows, style.dim),
    "",
    dry_run
      ? `${style.bold("Next:")} the same without --dry-run writes them.`
      : `${style.bold("Next:")} look through them, then \`mycelium run\`.`,
  ].join("\n");
}

export function renderBatches({ batches }: RunPreview, style: Style): string {
  const lines = batches.flatMap((batch, index) => [
    style.bold(`Batch ${index + 1}`),
    ...batch.map(({ id, name }) => `  ${plainLine(id)}  ${plainLine(name)}`),
  ]);
  const count = batches.reduce((sum, batch) => sum + batch.length, 0);
  return [
    ...lines,
    "",
    `${countText(count, "task")}, ${batches.length} one after the other at the most; nothing was changed.`,
    "A run has no such steps: it starts each task as soon as its turn, its locks and a slot allow.",
  ].join("\n");
}
