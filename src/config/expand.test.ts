import * as fc from "fast-check";
import { expect, test } from "vitest";
import { escapeReferences, expandVariables } from "./expand.ts";

const variables: Readonly<Record<string, string>> = {
  NAME: "value",
  EMPTY: "",
  HOSTILE: "${NAME}",
};
const expand = (value: unknown) => expandVariables(value, (name) => variables[name]);

test("puts variables in for references, in strings at any depth", () => {
  const value = { a: "x-${NAME}-${EMPTY}y", b: [1, true, null, { c: "${NAME}" }] };
  expect(expand(value)).toEqual({
    value: { a: "x-value-y", b: [1, true, null, { c: "value" }] },
    problems: [],
  });
});

test("leaves keys, bare names and what a variable holds alone", () => {
  expect(expand({ "${NAME}": 'test -z "$NAME" && echo $$ ${HOSTILE}' }).value).toEqual({
    "${NAME}": 'test -z "$NAME" && echo $$ ${NAME}',
  });
});

test("both escapes stand for a literal reference, whether it is set or not", () => {
  expect(expand("$${NAME} \\${NAME} $${UNSET:-x} \\${")).toEqual({
    value: "${NAME} ${NAME} ${UNSET:-x} ${",
    problems: [],
  });
});

test("an unset variable is a problem that names path and variable", () => {
  const { problems } = expand({ agents: { mine: { command: ["ok", "run ${UNSET}"] } } });
  expect(problems).toHaveLength(1);
  expect(problems[0]?.path).toEqual(["agents", "mine", "command", 1]);
  expect(problems[0]?.problem).toContain("UNSET is not set");
});

test.each(["${NAME:-x}", "${}", "${NAME", "${1}"])("%s is no reference and a problem", (text) => {
  expect(expand(text).problems[0]?.problem).toContain("is not a variable");
});

test("an escaped text expands to itself", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("$", "{", "}", "A", "x") }), (text) => {
      expect(expand(escapeReferences(text))).toEqual({ value: text, problems: [] });
    }),
  );
});
