import * as fc from "fast-check";
import picomatch from "picomatch";
import { expect, test } from "vitest";
import { ALTERNATIVES_MAX, findGlobProblem, isLiteral, matchesAny } from "./globs.ts";

test.each([
  ["src/*.ts", "src/a.ts", true],
  ["src/*.ts", "src/deep/a.ts", false],
  ["src/*.ts", "src/.hidden.ts", true],
  ["**/*.ts", "a.ts", true],
  ["**/*.ts", "a/b/c.ts", true],
  ["src/**/test/*.ts", "src/test/a.ts", true],
  ["src/**/test/*.ts", "src/a/b/test/a.ts", true],
  ["src/**", "src/a/b", true],
  ["src/**", "src", false],
  ["src/", "src/a/b", true],
  ["src/", "src", false],
  ["src", "src/a", false],
  ["**", ".env", true],
  ["a?c", "abc", true],
  ["a?c", "a/c", false],
  ["a?c", "a\u{1f344}c", true],
  ["[a-c]x", "bx", true],
  ["[a-c]x", "dx", false],
  ["[!a-c]x", "dx", true],
  ["[]a]x", "]x", true],
  ["[!]", "z", false],
  ["[!]", "[!]", true],
  ["{src,test}/*.ts", "test/a.ts", true],
  ["{src,test}/*.ts", "docs/a.ts", false],
  ["{a,{b,c}/d}.ts", "c/d.ts", true],
  ["a{,.test}.ts", "a.ts", true],
  ["a**b", "axxb", true],
  ["a**b", "a/b", false],
])("%s against %s is %s", (glob, path, expected) => {
  expect(matchesAny([glob], path)).toBe(expected);
});

test("parentheses, brackets and braces that form no pattern stand for themselves", () => {
  expect(matchesAny(["app/(group)/*.tsx"], "app/(group)/page.tsx")).toBe(true);
  expect(matchesAny(["app/(group)/*.tsx"], "app/group/page.tsx")).toBe(false);
  expect(matchesAny(["{{name}}/*"], "{{name}}/a")).toBe(true);
  expect(matchesAny(["a[b"], "a[b")).toBe(true);
  expect(matchesAny(["a+b|c"], "aab")).toBe(false);
});

test("a glob matches the path that reads the same, whatever characters it holds", () => {
  expect(matchesAny(["app/[id]/page.tsx"], "app/[id]/page.tsx")).toBe(true);
  fc.assert(fc.property(fc.string(), (path) => matchesAny([path], path)));
});

test("a glob with a problem permits only itself", () => {
  expect(matchesAny(["!secret"], "public")).toBe(false);
  expect(matchesAny(["!secret*"], "!secrets")).toBe(false);
  expect(matchesAny(["!secret*"], "!secret*")).toBe(true);
});

test.each([
  ["src/a.ts", true],
  ["app/(group)/{{name}}.tsx", true],
  ["src/*.ts", false],
  ["src/", false],
  ["[id].ts", false],
  ["{a,b}.ts", false],
  ["!a.ts", false],
])("isLiteral(%s) is %s", (glob, expected) => {
  expect(isLiteral(glob)).toBe(expected);
});

test.each([
  ["", "empty"],
  ["!a", "exclude"],
  ["a//b", "empty segment"],
  ["/a", "empty segment"],
  ["./a", "'.' or '..' segment"],
  ["a/@(b|c)", "@(…)"],
  ["a{1..9}", "range"],
  ["long".repeat(400), "longer"],
  ["{a,b}".repeat(7), `more than ${ALTERNATIVES_MAX}`],
])("names what is wrong: %#", (glob, expected) => {
  expect(findGlobProblem(glob)).toContain(expected);
});

test("finds nothing wrong with the globs that people write", () => {
  const globs = [
    "**",
    "src/**/*.{ts,tsx}",
    "docs/",
    "Makefile",
    "app/(group)/[id]/*",
    ".github/**",
  ];
  expect(globs.filter((glob) => findGlobProblem(glob) !== null)).toEqual([]);
});

test("agrees with picomatch on ordinary patterns", () => {
  const segment = fc.string({
    unit: fc.constantFrom("a", "b", ".", "*", "?"),
    minLength: 1,
    maxLength: 5,
  });
  const glob = fc
    .array(fc.oneof(segment, fc.constantFrom("**", "a", "b", "{a,b}", "*.{a,b}", "[ab]", "[^a]")), {
      minLength: 1,
      maxLength: 4,
    })
    .map((segments) => segments.join("/"))
    // Where picomatch differs on purpose: the folder itself, dot segments, and stars in a row.
    .filter((text) => !/\*\*(?!\/)|[^/]\*\*|\*\*$/.test(text) && findGlobProblem(text) === null);
  const path = fc
    .array(fc.constantFrom("a", "b", "ab", "ba", "a.b", ".a", "b.a.b", "aab"), {
      minLength: 1,
      maxLength: 5,
    })
    .map((segments) => segments.join("/"));
  fc.assert(
    fc.property(glob, path, (one, other) => {
      const oracle = picomatch(one, { dot: true, nonegate: true, noext: true });
      expect(matchesAny([one], other)).toBe(oracle(other));
    }),
    { numRuns: 2000 },
  );
});

test("takes no time on patterns that make a backtracking engine hang", () => {
  const hostile = [
    `${"*a".repeat(400)}b`,
    `${"**/".repeat(300)}b`,
    `${"**/*a*a*a*b/".repeat(40)}x`,
    `${"?/".repeat(400)}**/b`,
    `${"{*a,*b}".repeat(6)}c`,
    `[${"a-z".repeat(300)}]*c`,
    "{".repeat(1000),
    "[".repeat(1000),
    `${"(a+)+".repeat(100)}b`,
  ];
  const paths = ["a".repeat(4000), "a/".repeat(2000), "aaab/".repeat(800)];
  const before = process.cpuUsage().user;
  for (const path of paths) expect(matchesAny(hostile, path)).toBe(false);
  // A thousandfold margin: the engine that hangs needs more than a minute for one of these.
  expect((process.cpuUsage().user - before) / 1e6).toBeLessThan(10);
});
