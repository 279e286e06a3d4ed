import { totalTokens, type Usage } from "./usage.ts";

export interface BudgetLimits {
  readonly max_tokens_per_task?: number | undefined;
  readonly max_tokens_per_run?: number | undefined;
  readonly max_cost_per_task?: number | undefined;
  readonly max_cost_per_run?: number | undefined;
}

export interface Exceedance {
  readonly scope: "task" | "run";
  readonly unit: "tokens" | "usd";
  readonly limit: number;
  /** `null` where nobody knows: a limit that cannot be judged counts as exceeded. */
  readonly used: number | null;
  readonly message: string;
}

/** Which limits are exceeded, or cannot be judged. Reaching a limit exactly is still within it. */
export function findExceedances(
  limits: BudgetLimits,
  used: { readonly task: Usage; readonly run: Usage },
): readonly Exceedance[] {
  return [
    judge("task", "tokens", limits.max_tokens_per_task, totalTokens(used.task)),
    judge("run", "tokens", limits.max_tokens_per_run, totalTokens(used.run)),
    judge("task", "usd", limits.max_cost_per_task, used.task.cost_usd),
    judge("run", "usd", limits.max_cost_per_run, used.run.cost_usd),
  ].filter((exceedance) => exceedance !== null);
}

export function hasLimits(limits: BudgetLimits): boolean {
  return Object.values(limits).some((limit) => limit !== undefined);
}

function judge(
  scope: "task" | "run",
  unit: "tokens" | "usd",
  limit: number | undefined,
  used: number | null,
): Exceedance | null {
  if (limit === undefined || (used !== null && used <= limit)) return null;
  const message =
    used === null
      ? `the ${scope} has a limit of ${amount(unit, limit)} and nobody knows what it cost`
      : `the ${scope} used ${amount(unit, used)}, its limit is ${amount(unit, limit)}`;
  return { scope, unit, limit, used, message };
}

function amount(unit: "tokens" | "usd", value: number): string {
  return unit === "usd" ? `$${value}` : `${value} tokens`;
}
