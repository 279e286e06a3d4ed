import {
  findExceedances,
  hasLimits,
  type BudgetLimits,
  type Exceedance,
} from "../domain/budget.ts";
import { addUsage, NO_USAGE, type Usage } from "../domain/usage.ts";

/** What a run and each of its tasks have used, counted while agents work. */
export interface BudgetLedger {
  readonly mode: "warn" | "block";
  /** Adds what was used since the last report. */
  add(taskId: string, usage: Usage): void;
  /** Limits exceeded now; in warn mode each only once, so that it is told once. */
  exceedances(taskId: string, own: OwnLimits): readonly Exceedance[];
  /** Whether anything limits this task at all. */
  limits(own: OwnLimits): boolean;
  usageOf(taskId: string): Usage;
}

/** A manifest's own budget: the stricter of it and the configuration's holds. */
export interface OwnLimits {
  readonly max_tokens?: number | undefined;
  readonly max_cost?: number | undefined;
}

export function openBudgetLedger(
  configured: BudgetLimits & { readonly mode: "warn" | "block" },
  before: readonly { readonly taskId: string; readonly usage: Usage }[],
): BudgetLedger {
  const byTask = new Map<string, Usage>();
  let whole: Usage = NO_USAGE;
  const told = new Set<string>();
  const add = (taskId: string, usage: Usage): void => {
    byTask.set(taskId, addUsage(byTask.get(taskId) ?? NO_USAGE, usage));
    whole = addUsage(whole, usage);
  };
  for (const { taskId, usage } of before) add(taskId, usage);
  const usageOf = (taskId: string): Usage => byTask.get(taskId) ?? NO_USAGE;
  return {
    mode: configured.mode,
    add,
    usageOf,
    limits: (own) => hasLimits(effective(configured, own)),
    exceedances: (taskId, own) => {
      const all = findExceedances(effective(configured, own), {
        task: usageOf(taskId),
        run: whole,
      });
      if (configured.mode === "block") return all;
      return all.filter((exceedance) => {
        const key = `${exceedance.scope === "run" ? "" : taskId} ${exceedance.scope} ${exceedance.unit}`;
        if (told.has(key)) return false;
        told.add(key);
        return true;
      });
    },
  };
}

function effective(configured: BudgetLimits, own: OwnLimits): BudgetLimits {
  return {
    max_tokens_per_run: configured.max_tokens_per_run,
    max_cost_per_run: configured.max_cost_per_run,
    max_tokens_per_task: least(configured.max_tokens_per_task, own.max_tokens),
    max_cost_per_task: least(configured.max_cost_per_task, own.max_cost),
  };
}

function least(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return Math.min(left, right);
}
