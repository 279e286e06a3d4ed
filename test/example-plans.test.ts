import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readOutline } from "../src/planning/markdown-outline.ts";

const TOP = join(import.meta.dirname, "..");

/** The blocks of a plan that the stand-in agent acts on. */
function blocksOf(plan: string): readonly { path: string; after: string | null }[] {
  const { sections } = readOutline(readFileSync(join(TOP, plan), "utf8"));
  return sections.flatMap(({ text }) =>
    [...text.matchAll(/^`{3,}\w+ path=(\S+)(?: after="([^"]*)")?$/gm)].map(([, path, after]) => ({
      path: path ?? "",
      after: after ?? null,
    })),
  );
}

// Not that the added files are missing: this test also runs where the tasks have been done.
test("the plan for this repository changes files at lines that are there", () => {
  const changed = blocksOf("examples/self-host/plan.md").filter(({ after }) => after !== null);
  expect(changed.map(({ path }) => path)).toEqual(["README.md", "CHANGELOG.md"]);
  for (const { path, after } of changed) {
    const lines = readFileSync(join(TOP, path), "utf8").split("\n");
    expect(lines, `${path} has lost the line that a task goes by`).toContain(after);
  }
});

test("the demonstration's plan has exactly one task that writes more than it declares", () => {
  const { sections } = readOutline(readFileSync(join(TOP, "examples/demo/plan.md"), "utf8"));
  const undeclared = sections.map(({ fields, text }) =>
    [...text.matchAll(/^`{3,}\w+ path=(\S+)$/gm)]
      .map(([, path]) => path ?? "")
      .filter((path) => fields?.text.includes(path) === false),
  );
  expect(undeclared).toEqual([[], [], [], ["docs/reading-time.md"]]);
});
