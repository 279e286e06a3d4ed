import { expect, test } from "vitest";
import { readUsageLine } from "./usage-line.ts";

const line = (usage: unknown, more: object = {}): string =>
  JSON.stringify({ type: "turn.completed", usage, ...more });

test("a report of tokens and cost is read", () => {
  const usage = {
    input_tokens: 5,
    cached_input_tokens: 3,
    output_tokens: 2,
    reasoning_output_tokens: 1,
    cost_usd: 0.25,
  };
  expect(readUsageLine(line(usage))).toEqual({ kind: "usage", usage });
});

test("what is not told of tokens is zero, and a cost that is not told is unknown", () => {
  expect(readUsageLine(`  ${line({ input_tokens: 5 })}\r\n`)).toMatchObject({
    kind: "usage",
    usage: { input_tokens: 5, output_tokens: 0, cost_usd: null },
  });
});

test("total_cost_usd is the cost, inside the usage or beside it", () => {
  const usage = { cost_usd: 0.5 };
  expect(readUsageLine(line({ total_cost_usd: 0.5 }))).toMatchObject({ kind: "usage", usage });
  expect(readUsageLine(line({}, { total_cost_usd: 0.5 }))).toMatchObject({ kind: "usage", usage });
});

test.each([
  "hello",
  "",
  "[1]",
  '"turn.completed"',
  '{"type": "item.completed", "usage": {"input_tokens": -1}}',
  "{ not json",
  "function () { return 1; }",
])("%j is no report", (text) => {
  expect(readUsageLine(text)).toEqual({ kind: "none" });
});

test.each([
  ["negative", line({ input_tokens: -1 })],
  ["text for a number", line({ input_tokens: "5" })],
  ["half a token", line({ output_tokens: 0.5 })],
  ["an endless number", '{"type":"turn.completed","usage":{"input_tokens":1e999}}'],
  ["a negative cost", line({ input_tokens: 1, cost_usd: -1 })],
  ["nothing", line(undefined)],
  ["null", line(null)],
  ["a list", line([1])],
  ["names nobody knows", line({ prompt_tokens: 5 })],
  ["a torn line", '{"type":"turn.completed","usage":{"input_tok'],
])("a report with %s is broken, never nothing", (_name, text) => {
  expect(readUsageLine(text)).toEqual({
    kind: "broken",
    message: expect.stringContaining("turn.completed"),
  });
});
