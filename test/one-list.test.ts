import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { OPERATIONS, type Operation } from "../src/control/operations.ts";
import { toolOperations } from "../src/control/tools.ts";
import { offeredTools } from "../src/mcp/tool-list.ts";

const SOURCE = join(import.meta.dirname, "..", "src");
const all: readonly Operation[] = Object.values(OPERATIONS);

function sourcesOf(folder: string): readonly string[] {
  return readdirSync(join(SOURCE, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
    .map((path) => readFileSync(join(SOURCE, folder, path), "utf8"));
}

describe("the one list of operations", () => {
  test("is what agents are offered, by each name once", () => {
    const named = all.flatMap(({ tool }) => tool?.name ?? []);
    expect(new Set(named).size).toBe(named.length);
    expect([...offeredTools().keys()]).toEqual(named);
    expect([...toolOperations().keys()]).toEqual(named);
    for (const { operation } of offeredTools().values()) {
      expect(all.map(({ name }) => name)).toContain(operation.name);
    }
  });

  test("holds every operation that is defined, so that no face can have another", async () => {
    const folder = join(SOURCE, "control", "operations");
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    const defined: string[] = [];
    for (const file of files.filter((path) => path.endsWith(".ts"))) {
      if (file.endsWith(".test.ts")) continue;
      const found: Record<string, unknown> = await import(join(folder, file));
      for (const value of Object.values(found)) if (isOperation(value)) defined.push(value.name);
    }
    expect(defined.toSorted()).toEqual(all.map(({ name }) => name).toSorted());
  });

  test("is all that a face performs: none defines an operation of its own", () => {
    for (const text of [...sourcesOf("cli"), ...sourcesOf("mcp")]) {
      expect(text).not.toMatch(/\bdefine(?:Operation|Tool)\b/);
    }
  });
});

function isOperation(value: unknown): value is Operation {
  if (typeof value !== "object" || value === null) return false;
  return "name" in value && "summary" in value && "input" in value && "run" in value;
}
