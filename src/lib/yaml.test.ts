import * as fc from "fast-check";
import { expect, test } from "vitest";
import { formatYamlString, parseYaml } from "./yaml.ts";

test("knows the line of keys and items, and of what holds those that are missing", () => {
  const parsed = parseYaml("a:\n  - x: 1\n    y: 2\n  - z\nb: {c: 3,\n  d: 4}\n");
  if (!parsed.ok) throw new Error(parsed.message);
  const lines = [["a"], ["a", 0, "y"], ["a", 1], ["b", "d"], ["a", 0, "missing", "deep"], []];
  expect(lines.map(parsed.lineOf)).toEqual([1, 3, 4, 6, 2, 1]);
});

test("an alias to shared text is followed", () => {
  expect(parseYaml("a: &shared [1, 2]\nb: *shared")).toMatchObject({
    value: { a: [1, 2], b: [1, 2] },
  });
});

test.each(["a: 1\n[b]: 2", "a: 1\n? {b: 1}\n: 2", "a: &a 1\n*a : 2"])(
  "a key must be plain text: %j",
  (text) => {
    expect(parseYaml(text)).toEqual({
      ok: false,
      message: "has a key that is no plain text",
      line: 2,
    });
  },
);

test("an empty text is null", () => {
  expect(parseYaml("# nothing\n")).toMatchObject({ ok: true, value: null });
});

test("any JSON parses to the same value", () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(undefined, 2, "\t"), (json, indent) => {
      const value: unknown = JSON.parse(json);
      expect(parseYaml(JSON.stringify(value, null, indent))).toMatchObject({ ok: true, value });
    }),
  );
});

test("any text parses to a value or to a problem, and never throws", () => {
  const unit = fc.constantFrom(..."ab:-?[]{},&*!|>'\"%@`# \n\t".split(""), "\u0000", "\u{1f344}");
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 60 }), (text) => {
      expect(typeof parseYaml(text).ok).toBe("boolean");
    }),
    { numRuns: 2000 },
  );
});

test("a formatted string parses to itself", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(parseYaml(`a: ${formatYamlString(text)}\n`)).toMatchObject({ value: { a: text } });
    }),
  );
});

test.each(["true", "null", "12", "1e3", "~", "- x", "a: b", "#c", "", "yes"])(
  "%s as a string stays a string",
  (text) => {
    expect(parseYaml(`a: ${formatYamlString(text)}`)).toMatchObject({ value: { a: text } });
  },
);
