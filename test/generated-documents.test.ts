import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { generateDocuments } from "../scripts/documents.ts";
import { EVENT_TYPES } from "../src/domain/event.ts";

const top = join(import.meta.dirname, "..");

test.each(generateDocuments())("$path is what its schema makes", async ({ path, content }) => {
  const committed = await readFile(join(top, path), "utf8").catch(() => "");
  expect(committed === content, `run \`node scripts/generate-docs.ts\` and commit ${path}`).toBe(
    true,
  );
});

test("the published event schema has one alternative an event type, with that type's payload", () => {
  const document = generateDocuments().find(({ path }) => path.includes("event"));
  const { oneOf } = JSON.parse(document?.content ?? "{}") as {
    readonly oneOf: readonly {
      readonly properties: { readonly type: { const: string }; readonly payload: { type: string } };
    }[];
  };
  expect(oneOf.map(({ properties }) => properties.type.const)).toEqual(EVENT_TYPES);
  expect(oneOf.every(({ properties }) => properties.payload.type === "object")).toBe(true);
  const landed = oneOf.find(({ properties }) => properties.type.const === "landing.landed");
  expect(landed?.properties.payload).toMatchObject({ required: ["base", "tip", "tasks"] });
});

test("the page of keys has a row for each key, however deep", () => {
  const page =
    generateDocuments().find(({ path }) => path.includes("configuration"))?.content ?? "";
  for (const key of ["main_branch", "resources[].paths", "agents.NAME.prices.cached_input"]) {
    expect(page).toContain(`| \`${key}\``);
  }
  expect(page).toMatch(/`landing.batch_max` +\| whole number, 1 to 64 +\| `16` +\| \w/);
});
