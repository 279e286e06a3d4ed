import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const TOP = join(import.meta.dirname, "..");
const page = readFileSync(join(TOP, "docs/acceptance-goals.md"), "utf8");
const goals = [...page.matchAll(/^### (G\d+\.\d+) /gm)].map(([, goal]) => goal);
const rows = [...page.matchAll(/^\| (G\d+\.\d+) +\|[^|]*\|([^|]*)\|/gm)].map(([, goal, tests]) => ({
  goal,
  files: [...(tests ?? "").matchAll(/`([^`]+)`/g)].map(([, file]) => file ?? ""),
}));

test("every acceptance goal has a row in the matrix, in order, and every row a goal", () => {
  expect(goals.length).toBeGreaterThan(10);
  expect(rows.map(({ goal }) => goal)).toEqual(goals);
});

test("every goal that this version has names tests, and they exist", () => {
  const missing = rows.flatMap(({ files }) => files).filter((file) => !existsSync(join(TOP, file)));
  expect([...new Set(missing)]).toEqual([]);
  expect(rows.filter(({ files }) => files.length === 0).map(({ goal }) => goal)).toEqual(["G0.2"]);
});
