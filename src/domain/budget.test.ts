import { describe, expect, it } from "vitest";
import { findExceedances } from "./budget.ts";
import { addUsage, NO_USAGE, priceUsage, totalTokens, usageSchema } from "./usage.ts";

const usage = (tokens: number, cost: number | null) =>
  usageSchema.parse({ input_tokens: tokens, output_tokens: 0, cost_usd: cost });

describe("a budget", () => {
  it("is kept when exactly reached and exceeded one token later", () => {
    const limits = { max_tokens_per_task: 10 };
    const at = { task: usage(10, 0), run: usage(10, 0) };
    const over = { task: usage(11, 0), run: usage(11, 0) };
    expect(findExceedances(limits, at)).toEqual([]);
    expect(findExceedances(limits, over)).toMatchObject([
      { scope: "task", unit: "tokens", limit: 10, used: 11 },
    ]);
  });

  it("counts the run beside the task", () => {
    const limits = { max_tokens_per_run: 15, max_tokens_per_task: 10 };
    const found = findExceedances(limits, { task: usage(9, 0), run: usage(18, 0) });
    expect(found).toMatchObject([{ scope: "run", used: 18 }]);
  });

  it("takes a cost that nobody knows for exceeded", () => {
    const limits = { max_cost_per_run: 1 };
    const found = findExceedances(limits, { task: usage(1, null), run: usage(1, null) });
    expect(found).toMatchObject([{ scope: "run", unit: "usd", used: null }]);
  });
});

describe("usage", () => {
  it("with an unknown part is of unknown cost", () => {
    expect(addUsage(usage(1, 0.5), usage(1, null)).cost_usd).toBeNull();
    expect(addUsage(NO_USAGE, usage(3, 0.5))).toMatchObject({ input_tokens: 3, cost_usd: 0.5 });
  });

  it("stays a count that can be stored, whatever agents claim", () => {
    const huge = usage(Number.MAX_SAFE_INTEGER, 0);
    const sum = addUsage(addUsage(huge, huge), huge);
    expect(usageSchema.parse(sum)).toEqual(sum);
    expect(sum.input_tokens).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("is priced by the million, cached input apart, where the agent named no cost", () => {
    const used = usageSchema.parse({
      input_tokens: 1_000_000,
      cached_input_tokens: 500_000,
      output_tokens: 100_000,
    });
    const prices = { input: 2, cached_input: 0.2, output: 10 };
    expect(priceUsage(used, prices).cost_usd).toBeCloseTo(1 + 0.1 + 1, 10);
    expect(priceUsage(used, undefined).cost_usd).toBeNull();
    expect(priceUsage({ ...used, cost_usd: 7 }, prices).cost_usd).toBe(7);
    expect(totalTokens(used)).toBe(1_100_000);
  });
});
