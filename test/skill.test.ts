import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { toolOperations } from "../src/control/tools.ts";
import { WORKSPACE_KINDS } from "../src/workspaces/workspace.ts";
import { parseYaml } from "../src/lib/yaml.ts";

const NAME = "mycelium";
const LINES_MAX = 150;
const DESCRIPTION_LENGTH_MAX = 1024;

const TOP = join(import.meta.dirname, "..");
const document = readFileSync(join(TOP, "skills", NAME, "SKILL.md"), "utf8");
const [, front = "", body = ""] = /^---\n([^]*?)\n---\n([^]*)$/.exec(document) ?? [];
const tools = toolOperations();

/** Names of tools, of all that goes in and comes out, and every word that is one of a few. */
function knownWords(): ReadonlySet<string> {
  const words = new Set(tools.keys());
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    const { properties, enum: choices, const: only } = node as Readonly<Record<string, unknown>>;
    for (const key of Object.keys(properties ?? {})) words.add(key);
    for (const choice of [choices, only].flat()) if (typeof choice === "string") words.add(choice);
    for (const value of Object.values(node)) visit(value);
  };
  for (const { input, output } of tools.values()) {
    visit(z.toJSONSchema(input, { unrepresentable: "any", io: "input" }));
    visit(z.toJSONSchema(output, { unrepresentable: "any" }));
  }
  return words;
}

function spansOf(text: string): readonly string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code ?? "");
}

test("its front matter is what clients find skills by", () => {
  const parsed = parseYaml(front);
  expect(parsed.ok && parsed.value).toEqual({ name: NAME, description: expect.any(String) });
  const { description } = (parsed.ok ? parsed.value : {}) as { readonly description: string };
  expect(description.length).toBeLessThanOrEqual(DESCRIPTION_LENGTH_MAX);
  expect(document.split("\n").length).toBeLessThanOrEqual(LINES_MAX);
});

test("every name in it is one of a tool, a field, a choice or a code", () => {
  const known = knownWords();
  // Said of clients and refusals, in words that no schema holds.
  const others = new Set(["detached", "true", "false", "Next", "quota-exceeded", "rate-limited"]);
  const named = spansOf(body)
    .filter((span) => span !== "MYCELIUM_CONTEXT_FILE" && span !== 'repo: "."')
    .flatMap((span) => span.match(/[A-Za-z][A-Za-z_-]*/g) ?? []);
  expect(named.length).toBeGreaterThan(60);
  expect(named.filter((word) => !known.has(word) && !others.has(word))).toEqual([]);
  expect(named.filter((word) => tools.has(word)).length).toBeGreaterThan(25);
});

test("it names exactly the tools that can be started detached", () => {
  const [paragraph = ""] = /## Calls that take long\n\n([^]*?)`detached/.exec(body) ?? [];
  const long = [...tools.values()].filter(({ tool }) => tool.long).map(({ tool }) => tool.name);
  expect(long.length).toBeGreaterThan(3);
  expect(
    spansOf(paragraph)
      .filter((span) => tools.has(span))
      .toSorted(),
  ).toEqual(long.toSorted());
});

test("its example of a swarm is accepted as it is", () => {
  const [, example = ""] = /```json\n([^]*?)```/.exec(body) ?? [];
  const { detached, ...input } = JSON.parse(example) as Readonly<Record<string, unknown>>;
  expect(detached).toBe(true);
  expect(tools.get("swarm_run")?.input.safeParse(input)).toMatchObject({ success: true });
});

test("its table has a row for each kind", () => {
  const rows = [...body.matchAll(/^\| `([a-z]+)` +\|/gm)].map(([, kind]) => kind);
  expect(rows.toSorted()).toEqual([...WORKSPACE_KINDS].toSorted());
});
