import { afterEach, beforeEach, expect, test } from "vitest";
import {
  BASE,
  commitOf,
  makeTestHome,
  recordRun,
  type RecordedRun,
  type TestHome,
} from "../../test/support/recorded-run.ts";
import { withRepository } from "./lease-keeper.ts";
import { reportRun, reportRuns, runReportSchema, runSummarySchema } from "./report.ts";

let home: TestHome;
let run: RecordedRun;

beforeEach(async () => {
  home = await makeTestHome();
  run = await recordRun(home, { tasks: [{ id: "1" }, { id: "2" }, { id: "3" }] });
});
afterEach(() => home[Symbol.asyncDispose]());

test("a run that landed some of its tasks is told task by task", async () => {
  const gates = [{ gate: "lint" }, { gate: "doctor", answer: "fail" }] as const;
  await run.attempt("1", { gates, rejected: "doctor-failed", usage: { input_tokens: 10 } });
  await run.attempt("1", {
    gates: [{ gate: "doctor" }],
    usage: { input_tokens: 20, output_tokens: 5, cost_usd: 0.25 },
  });
  await run.attempt("2", { rejected: "agent-failed", then: "fail", usage: null });
  await run.land(["1"]);
  home.clock.advance(1_000);
  await run.stop("task-failed", "1 task did not land", "mend the spec, then `mycelium resume`");
  const report = runReportSchema.parse(await reportRun(home.store, "run-1"));
  expect(report).toMatchObject({
    status: "failed",
    is_live: false,
    stop: { reason: "task-failed", message: "1 task did not land" },
    base_commit: BASE,
    duration_ms: 181_000,
    counts: { complete: 1, failed: 1, pending: 1, running: 0 },
    usage: { tokens: 35, cost_usd: null, silent_attempts: 1 },
    next: "Mend the spec, then `mycelium resume`.",
  });
  expect(report.tasks[0]).toMatchObject({
    attempts: 2,
    landed_commit: commitOf("1"),
    duration_ms: 180_000,
    gates: [
      { gate: "lint", answer: "pass" },
      { gate: "doctor", answer: "pass" },
    ],
  });
  expect(report.tasks[1]).toMatchObject({
    reason: "agent-failed",
    message: "it did not work out: agent-failed",
    usage: { tokens: null, cost_usd: null },
  });
  expect(report.tasks[2]).toMatchObject({ duration_ms: null, usage: { tokens: 0, cost_usd: 0 } });
});

test("a running run whose process is alive is told apart from one whose process is gone", async () => {
  const work = async () => reportRun(home.store, "run-1");
  const live = await withRepository(home.store, "/repository/.git", "run run-1", work);
  expect(live).toMatchObject({ status: "running", is_live: true });
  expect(live.next).toContain(`process ${process.pid}`);
  expect(live.next).toContain("mycelium logs follow run-1");
  const orphan = await reportRun(home.store, "run-1");
  expect(orphan).toMatchObject({ status: "running", is_live: false });
  expect(orphan.next).toContain("mycelium resume run-1");
});

test("another run of the same repository does not make this one live", async () => {
  await recordRun(home, { runId: "run-2", tasks: [{ id: "1" }] });
  await withRepository(home.store, "/repository/.git", "run run-2", async () => {
    expect(await reportRuns(home.store, { limit: 10 })).toMatchObject([
      { run_id: "run-2", is_live: true },
      { run_id: "run-1", is_live: false },
    ]);
  });
});

test("a complete run says where to look", async () => {
  for (const id of ["1", "2", "3"]) await run.attempt(id);
  await run.land(["1", "2", "3"]);
  await run.complete();
  const report = await reportRun(home.store, "run-1");
  expect(report.next).toContain("git log main");
  expect(report.stop).toBeNull();
});

test("a stop without a hint still gets a next step", async () => {
  await run.stop("budget", "too dear", "");
  expect((await reportRun(home.store, "run-1")).next).toBe(
    "Raise the limit under `budgets`, then `mycelium resume run-1`.",
  );
});

test("a run that is not there is refused with the way to those that are", async () => {
  await expect(reportRun(home.store, "nope")).rejects.toMatchObject({
    failure: { code: "run-missing", hint: expect.stringContaining("runs list") as string },
  });
});

test("the list has the newest run first, with its tasks counted, and no more than asked for", async () => {
  home.clock.advance(5_000);
  await recordRun(home, { runId: "run-2", tasks: [{ id: "1" }], repository: "/other/.git" });
  const all = await reportRuns(home.store, { limit: 10 });
  for (const summary of all) runSummarySchema.parse(summary);
  expect(all).toMatchObject([
    { run_id: "run-2", tasks: 1, repository: "/other/.git" },
    { run_id: "run-1", tasks: 3, counts: { pending: 3 } },
  ]);
  expect(await reportRuns(home.store, { limit: 1 })).toHaveLength(1);
});
