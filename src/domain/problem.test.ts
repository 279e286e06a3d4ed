import { expect, test } from "vitest";
import { z } from "zod";
import { checkShape, formatPath, listProblems } from "./problem.ts";

const schema = z.strictObject({
  name: z.string(),
  parts: z
    .array(z.strictObject({ size: z.int().max(9), colour: z.string().optional() }))
    .default([]),
  named: z
    .record(
      z.string().regex(/^[a-z]+$/, { error: "small letters" }),
      z.strictObject({ on: z.boolean() }),
    )
    .default({}),
});

function problemsOf(value: unknown) {
  const checked = checkShape(schema, value);
  return checked.ok ? [] : checked.problems;
}

test("a value that fits is answered with its defaults", () => {
  expect(checkShape(schema, { name: "a" })).toEqual({
    ok: true,
    value: { name: "a", parts: [], named: {} },
  });
});

test("unknown keys come first, each with the nearest known one of its own place", () => {
  const value = { nam: "a", parts: [{ size: 1, color: "red" }], named: { x: { onn: true } } };
  expect(problemsOf(value).map(({ path, problem, hint }) => [path, problem, hint])).toEqual([
    ["parts[0].color", "unknown key", "did you mean colour?"],
    ["named.x.onn", "unknown key", "did you mean on?"],
    ["nam", "unknown key", "did you mean name?"],
    ["name", "is required", null],
    ["named.x.on", "is required", null],
  ]);
});

test("names that a map does not allow are told with their rule", () => {
  expect(problemsOf({ name: "a", named: { X: { on: true } } })).toMatchObject([
    { path: "named.X", problem: "not a valid name: small letters" },
  ]);
});

test("never repeats the value that is wrong", () => {
  expect(JSON.stringify(problemsOf({ name: 1, parts: "s3cret" }))).not.toContain("s3cret");
});

test("a wrong value as a whole has a path that can be read", () => {
  expect(problemsOf("text")).toMatchObject([{ path: "(whole)" }]);
  expect(formatPath(["a", 0, "b", 1])).toBe("a[0].b[1]");
});

test("lists problems line by line, and counts those that are too many", () => {
  const problem = { path: "a.b", line: 3, problem: "is wrong", hint: "mend it" };
  expect(listProblems([problem])).toBe("a.b (line 3): is wrong (mend it)");
  const lines = listProblems(Array.from({ length: 25 }, () => problem)).split("\n");
  expect(lines).toHaveLength(21);
  expect(lines.at(-1)).toBe("and 5 more");
});
