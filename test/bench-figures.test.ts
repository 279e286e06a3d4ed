import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { judgeTargets, median, type Figures, type SizeFigures } from "../bench/figures.ts";
import { renderFigures, writeFigures } from "../bench/report.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

function sizeOf(tasks: number, figures: Partial<SizeFigures> = {}): SizeFigures {
  return {
    tasks,
    myceliumMs: [tasks * 20],
    scriptMs: [tasks * 10],
    peakMemoryBytes: 250_000_000,
    gitProcesses: tasks * 8,
    scriptGitProcesses: tasks * 5,
    ...figures,
  };
}

function figuresOf(...sizes: readonly SizeFigures[]): Figures {
  const machine = { processor: "an abacus" };
  return { at: "2026-01-02", machine, sizes, helpMs: [250], emptyNodeMs: [100] };
}

test("the median is the middle one, or half way between the middle two", () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([9, 1, 5, 7])).toBe(6);
  expect(() => median([])).toThrow("nothing");
});

test("a target that is reached exactly is met, and one beyond is missed", () => {
  const met = judgeTargets(figuresOf(sizeOf(100), sizeOf(1000, { myceliumMs: [26_000] })));
  expect(met.map(({ isMet }) => isMet)).toEqual([true, true, true, true, true]);

  const slow = { myceliumMs: [2_001], gitProcesses: 801 };
  const large = { myceliumMs: [26_100], peakMemoryBytes: 250_100_000 };
  const figures = { ...figuresOf(sizeOf(100, slow), sizeOf(1000, large)), helpMs: [251] };
  const missed = judgeTargets(figures);
  expect(missed.map(({ isMet }) => isMet)).toEqual([false, false, false, false, false]);
});

test("what was not measured is neither met nor missed", () => {
  const targets = judgeTargets(figuresOf(sizeOf(10)));
  expect(targets.slice(0, 4).map(({ found, isMet }) => [found, isMet])).toEqual(
    Array.from({ length: 4 }, () => [null, null]),
  );
  expect(renderFigures(figuresOf(sizeOf(10)))).toMatch(/100 tasks .* not measured/);
});

test("the page keeps all but its figures, however often they are written", async () => {
  await using folder = await temporaryFolder();
  const page = join(folder.path, "performance.md");
  const marks = [
    "<!-- figures: written by `npm run bench -- --write` -->",
    "<!-- figures: end -->",
  ];
  await writeFile(page, `Before.\n\n${marks[0]}\nold\n${marks[1]}\n\nAfter.\n`);
  await writeFigures(page, figuresOf(sizeOf(100)));
  const once = await readFile(page, "utf8");
  expect(once).toMatch(/^Before\.\n[^]*\| 100 +\| 2\.00 s[^]*an abacus[^]*\nAfter\.\n$/);
  expect(once).not.toContain("old");
  await writeFigures(page, figuresOf(sizeOf(100)));
  expect(await readFile(page, "utf8")).toBe(once);

  await writeFile(page, "No marks.\n");
  await expect(writeFigures(page, figuresOf(sizeOf(100)))).rejects.toThrow("no place for figures");
});
