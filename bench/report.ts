import { median, perTaskMs, ratioOf, judgeTargets, type Figures, type Target } from "./figures.ts";
import { alignColumns, markdownTable, writeBetween, type Table } from "./tables.ts";

const MARKS = {
  begin: "<!-- figures: written by `npm run bench -- --write` -->",
  end: "<!-- figures: end -->",
};
const SECOND_MS = 1000;
const MEGABYTE = 1_000_000;

/** For a terminal. */
export function renderFigures(figures: Figures): string {
  const sections = [
    alignColumns([SIZES_HEAD, ...sizeRows(figures)]),
    helpLine(figures),
    alignColumns(targetTable(judgeTargets(figures))),
    machineLines(figures).join("\n"),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

/** Puts the figures into a page, between its two marks. Throws where the marks are missing. */
export async function writeFigures(page: string, figures: Figures): Promise<void> {
  await writeBetween(page, MARKS, [
    markdownTable([SIZES_HEAD, ...sizeRows(figures)]),
    markdownTable(targetTable(judgeTargets(figures))),
    helpLine(figures),
    machineLines(figures)
      .map((line) => `- ${line}`)
      .join("\n"),
  ]);
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

export function targetTable(targets: readonly Target[]): Table {
  const rows = targets.map(({ name, limit, found, isMet }) => {
    const verdict = isMet === null ? "not measured" : isMet ? "met" : "MISSED";
    return [name, limit, found ?? "–", verdict];
  });
  return [["target", "limit", "found", ""], ...rows];
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
