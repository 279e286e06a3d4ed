import { usageSchema, type Usage } from "../domain/usage.ts";

/** What a line of an agent's output says of its usage. */
export type UsageLine =
  | { readonly kind: "none" }
  | { readonly kind: "usage"; readonly usage: Usage }
  /** It means to report, but not in a way that can be counted. */
  | { readonly kind: "broken"; readonly message: string };

const NONE: UsageLine = { kind: "none" };
const MEANT_AS_REPORT = /^\s*\{\s*"type"\s*:\s*"turn\.completed"/;

/** Fields of which one at least must be there: without them a report says nothing. */
const TELLING = ["input_tokens", "output_tokens", "cost_usd", "total_cost_usd"] as const;

/**
 * Reads `{"type": "turn.completed", "usage": {…}}`: tokens and `cost_usd` since the last such line.
 * `total_cost_usd` is taken for the cost, inside `usage` or beside it. What means to be a report and
 * cannot be read is `broken`, never nothing: budgets stand on it.
 */
export function readUsageLine(line: string): UsageLine {
  if (!/^\s*\{/.test(line)) return NONE;
  const report = parseObject(line);
  if (report === null) return MEANT_AS_REPORT.test(line) ? broken("is not valid JSON") : NONE;
  if (report["type"] !== "turn.completed") return NONE;
  const { usage } = report;
  if (!isObject(usage)) return broken("has no usage object");
  const cost = usage["cost_usd"] ?? usage["total_cost_usd"] ?? report["total_cost_usd"] ?? null;
  const told = { ...usage, cost_usd: cost };
  if (cost === null && TELLING.every((field) => usage[field] === undefined)) {
    return broken("names neither tokens nor a cost");
  }
  const parsed = usageSchema.safeParse(told);
  if (parsed.success) return { kind: "usage", usage: parsed.data };
  const [issue] = parsed.error.issues;
  return broken(`usage.${issue?.path.join(".")}: ${issue?.message}`);
}

/** For the beginning of a line that is too long to be read whole. */
export function isMeantAsReport(beginning: string): boolean {
  return MEANT_AS_REPORT.test(beginning);
}

function broken(what: string): UsageLine {
  return { kind: "broken", message: `a turn.completed line ${what}` };
}

function parseObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
