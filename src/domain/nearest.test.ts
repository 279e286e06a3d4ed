import { expect, test } from "vitest";
import { nearestName } from "./nearest.ts";

const KNOWN = ["max_parallel", "max_attempts", "lint", "doctor", "agents", "agent"];

test.each([
  ["max_paralel", "max_parallel"],
  ["max_parallell", "max_parallel"],
  ["maxparallel", "max_parallel"],
  ["MAX_PARALLEL", "max_parallel"],
  ["lnit", "lint"],
  ["docter", "doctor"],
  ["agent", "agent"],
  ["agnets", "agents"],
])("%s most likely means %s", (name, expected) => {
  expect(nearestName(name, KNOWN)).toBe(expected);
});

test.each(["ui", "validator", "", "x", "models"])("%s is like nothing that is known", (name) => {
  expect(nearestName(name, KNOWN)).toBeNull();
});
