import { describe, expect, it } from "vitest";
import { usageSchema, type Usage } from "../domain/usage.ts";
import { openBudgetLedger } from "./budget.ts";

const used = (tokens: number): Usage => usageSchema.parse({ input_tokens: tokens, cost_usd: 0 });

describe("the ledger of a run", () => {
  it("starts with what earlier attempts have used", () => {
    const limits = { mode: "block", max_tokens_per_task: 100, max_tokens_per_run: 150 } as const;
    const ledger = openBudgetLedger(limits, [
      { taskId: "a", usage: used(90) },
      { taskId: "b", usage: used(50) },
    ]);
    expect(ledger.exceedances("a", {})).toEqual([]);
    ledger.add("a", used(20));
    expect(ledger.exceedances("a", {})).toMatchObject([
      { scope: "task", used: 110 },
      { scope: "run", used: 160 },
    ]);
    expect(ledger.exceedances("b", {})).toMatchObject([{ scope: "run", used: 160 }]);
  });

  it("holds a task to the stricter of its own limit and the configuration's", () => {
    const ledger = openBudgetLedger({ mode: "block", max_tokens_per_task: 100 }, []);
    ledger.add("a", used(60));
    expect(ledger.exceedances("a", { max_tokens: 50 })).toMatchObject([{ limit: 50 }]);
    expect(ledger.exceedances("a", { max_tokens: 500 })).toEqual([]);
  });

  it("in warn mode tells each limit once, the run's not again for another task", () => {
    const limits = { mode: "warn", max_tokens_per_task: 1, max_tokens_per_run: 1 } as const;
    const ledger = openBudgetLedger(limits, []);
    ledger.add("a", used(5));
    expect(ledger.exceedances("a", {})).toHaveLength(2);
    ledger.add("a", used(5));
    expect(ledger.exceedances("a", {})).toEqual([]);
    ledger.add("b", used(5));
    expect(ledger.exceedances("b", {})).toMatchObject([{ scope: "task" }]);
  });
});
