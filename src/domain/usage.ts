import { z } from "zod";

const count = z.number().int().nonnegative().default(0);

/**
 * What an agent reports to have used since its last report.
 *
 * `input_tokens` includes `cached_input_tokens`. A cost that nobody knows is `null`, never zero.
 */
export const usageSchema = z.object({
  input_tokens: count,
  cached_input_tokens: count,
  output_tokens: count,
  reasoning_output_tokens: count,
  cost_usd: z.number().nonnegative().nullable().default(null),
});

export type Usage = z.infer<typeof usageSchema>;

export const NO_USAGE: Usage = {
  input_tokens: 0,
  cached_input_tokens: 0,
  output_tokens: 0,
  reasoning_output_tokens: 0,
  cost_usd: 0,
};

/** Unknown plus anything is unknown. */
export function addUsage(left: Usage, right: Usage): Usage {
  return {
    input_tokens: addCounts(left.input_tokens, right.input_tokens),
    cached_input_tokens: addCounts(left.cached_input_tokens, right.cached_input_tokens),
    output_tokens: addCounts(left.output_tokens, right.output_tokens),
    reasoning_output_tokens: addCounts(left.reasoning_output_tokens, right.reasoning_output_tokens),
    cost_usd:
      left.cost_usd === null || right.cost_usd === null ? null : left.cost_usd + right.cost_usd,
  };
}

/** Agents may claim any count: a sum stays one that can be stored and compared exactly. */
function addCounts(left: number, right: number): number {
  return Math.min(left + right, Number.MAX_SAFE_INTEGER);
}

/** What budgets count. Reasoning tokens are part of the output already. */
export function totalTokens(usage: Usage): number {
  return usage.input_tokens + usage.output_tokens;
}

/** US dollars for a million tokens. */
export interface Prices {
  readonly input: number;
  readonly cached_input?: number | undefined;
  readonly output: number;
}

/** Fills in the cost where the agent named none and prices are configured. */
export function priceUsage(usage: Usage, prices: Prices | undefined): Usage {
  if (usage.cost_usd !== null || prices === undefined) return usage;
  const fresh = usage.input_tokens - usage.cached_input_tokens;
  const cached = usage.cached_input_tokens * (prices.cached_input ?? prices.input);
  return {
    ...usage,
    cost_usd: (fresh * prices.input + cached + usage.output_tokens * prices.output) / 1_000_000,
  };
}
