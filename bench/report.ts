import { readFile, writeFile } from "node:fs/promises";
import { judgeTargets, median, perTaskMs, ratioOf, type Figures } from "./figures.ts";

const BEGIN = "<!-- figures: written by `npm run bench -- --write` -->";
const END = "<!-- figures: end -->";
const SECOND_MS = 1000;
const MEGABYTE = 1_000_000;

type Table = readonly (readonly string[])[];

/** For a terminal. */
export function renderFigures(figures: Figures): string {
  const sections = [
    alignColumns([SIZES_HEAD, ...sizeRows(figures)]),
    helpLine(figures),
    alignColumns([TARGETS_HEAD, ...targetRows(figures)]),
    machineLines(figures).join("\n"),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

/** Puts the figures into a page, between its two marks. Throws where the marks are missing. */
export async function writeFigures(page: string, figures: Figures): Promise<void> {
  const text = await readFile(page, "utf8");
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin === -1 || end < begin) throw new Error(`${page} has no place for figures`);
  const sections = [
    markdownTable([SIZES_HEAD, ...sizeRows(figures)]),
    markdownTable([TARGETS_HEAD, ...targetRows(figures)]),
    helpLine(figures),
    machineLines(figures)
      .map((line) => `- ${line}`)
      .join("\n"),
  ];
  const section = sections.filter((part) => part !== "").join("\n\n");
  await writeFile(page, `${text.slice(0, begin)}${BEGIN}\n\n${section}\n\n${text.slice(end)}`);
}

const SIZES_HEAD = [
  "tasks",
  "mycelium",
  "script",
  "ratio",
  "a task",
  "git a task",
  "script's git",
  "peak memory",
];

function sizeRows({ sizes }: Figures): Table {
  return sizes.map((size) => [
    size.tasks.toLocaleString("en"),
    `${(median(size.myceliumMs) / SECOND_MS).toFixed(2)} s`,
    `${(median(size.scriptMs) / SECOND_MS).toFixed(2)} s`,
    `${ratioOf(size).toFixed(2)} ×`,
    `${perTaskMs(size).toFixed(1)} ms`,
    (size.gitProcesses / size.tasks).toFixed(1),
    (size.scriptGitProcesses / size.tasks).toFixed(1),
    `${Math.round(size.peakMemoryBytes / MEGABYTE)} MB`,
  ]);
}

const TARGETS_HEAD = ["target", "limit", "found", ""];

function targetRows(figures: Figures): Table {
  return judgeTargets(figures).map(({ name, limit, found, isMet }) => {
    const verdict = isMet === null ? "not measured" : isMet ? "met" : "MISSED";
    return [name, limit, found ?? "–", verdict];
  });
}

function helpLine({ helpMs, emptyNodeMs }: Figures): string {
  if (helpMs.length === 0) return "";
  const [help, empty] = [median(helpMs), median(emptyNodeMs)].map((ms) => ms.toFixed(0));
  return `\`mycelium --help\` takes ${help} ms, \`node -e 0\` ${empty} ms.`;
}

function machineLines({ at, machine, sizes }: Figures): readonly string[] {
  const runs = sizes[0]?.myceliumMs.length ?? 0;
  const facts = Object.entries(machine).map(([name, value]) => `${name}: ${value}`);
  return [`measured: ${at}, medians of ${runs}, both contenders in turn`, ...facts];
}

/** Numbers stand to the right, under their heads; words to the left. */
function alignColumns(table: Table): string {
  const [head = [], ...rows] = table;
  const columns = head.map((title, column) => {
    const cells = rows.map((row) => row[column] ?? "");
    const isNumeric = column > 0 && cells.every((cell) => /^\d/.test(cell));
    return { isNumeric, width: Math.max(...[title, ...cells].map(({ length }) => length)) };
  });
  const line = (row: readonly string[]): string =>
    columns
      .map(({ isNumeric, width }, column) => {
        const cell = row[column] ?? "";
        return isNumeric ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return table.map(line).join("\n");
}

function markdownTable(table: Table): string {
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(3, ...table.map((row) => (row[column] ?? "").length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  const [head, ...rows] = table;
  return [line(head ?? []), rule, ...rows.map(line)].join("\n");
}
