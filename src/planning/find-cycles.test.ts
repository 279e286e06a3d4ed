import * as fc from "fast-check";
import { expect, test } from "vitest";
import { findCycles } from "./find-cycles.ts";

interface Node {
  readonly id: string;
  readonly dependencies: readonly string[];
}

const graphs = fc.integer({ min: 0, max: 9 }).chain((size) => {
  const ids = Array.from({ length: size }, (_, index) => `t${index}`);
  return fc.tuple(
    ...ids.map((id) =>
      fc
        .array(fc.constantFrom(...ids, "unknown"), { maxLength: 3 })
        .map((dependencies): Node => ({ id, dependencies })),
    ),
  );
});

test("names the members in the order in which they need each other", () => {
  const nodes = [
    { id: "a", dependencies: ["b"] },
    { id: "b", dependencies: ["outside", "c"] },
    { id: "c", dependencies: ["d", "a"] },
    { id: "d", dependencies: [] },
    { id: "e", dependencies: ["a"] },
  ];
  expect(findCycles(nodes)).toEqual([["a", "b", "c"]]);
});

test("tells a second cycle that waits for the first as well", () => {
  const nodes = [
    { id: "a", dependencies: ["b"] },
    { id: "b", dependencies: ["a"] },
    { id: "c", dependencies: ["a", "d"] },
    { id: "d", dependencies: ["b", "c"] },
  ];
  expect(findCycles(nodes)).toEqual([
    ["a", "b"],
    ["c", "d"],
  ]);
});

test("every cycle goes round, no two share a member, and without them nothing goes round", () => {
  fc.assert(
    fc.property(graphs, (nodes) => {
      const cycles = findCycles(nodes);
      const needs = new Map(nodes.map(({ id, dependencies }) => [id, dependencies]));
      for (const cycle of cycles) {
        for (const [index, id] of cycle.entries()) {
          expect(needs.get(id)).toContain(cycle[(index + 1) % cycle.length]);
        }
      }
      const members = cycles.flat();
      expect(new Set(members).size).toBe(members.length);
      expect(goesRound(nodes)).toBe(cycles.length > 0);
      expect(goesRound(nodes.filter(({ id }) => !members.includes(id)))).toBe(false);
    }),
    { numRuns: 1000 },
  );
});

test("does not mind ten thousand tasks in a row, or in a ring", () => {
  const row = Array.from({ length: 10_000 }, (_, index) => ({
    id: String(index),
    dependencies: index === 0 ? [] : [String(index - 1)],
  }));
  expect(findCycles(row)).toEqual([]);
  const ring = row.with(0, { id: "0", dependencies: ["9999"] });
  expect(findCycles(ring).map((cycle) => cycle.length)).toEqual([10_000]);
});

/** Naive: whether some task can be reached from itself. */
function goesRound(nodes: readonly Node[]): boolean {
  return nodes.some(({ id }) => {
    const reached = new Set<string>();
    const open = [id];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      for (const dependency of nodes.find((node) => node.id === next)?.dependencies ?? []) {
        if (dependency === id) return true;
        if (!reached.has(dependency)) open.push(dependency);
        reached.add(dependency);
      }
    }
    return false;
  });
}
