import { afterEach, beforeEach, expect, test } from "vitest";
import {
  makeTestHome,
  recordRun,
  type RecordedRun,
  type TestHome,
} from "../../test/support/recorded-run.ts";
import { logSummarySchema, summarizeEvents, summarizeRun } from "./summarize.ts";

let home: TestHome;
let run: RecordedRun;

beforeEach(async () => {
  home = await makeTestHome();
  const tasks = [
    { id: "1", name: "Add a greeting" },
    { id: "2", name: "Add a farewell" },
    { id: "3", name: "Document both" },
  ];
  run = await recordRun(home, { tasks });
});
afterEach(() => home[Symbol.asyncDispose]());

test("every task gets a paragraph, and the landings, the spend and the slowest are named", async () => {
  await run.attempt("1", {
    gates: [{ gate: "doctor", answer: "fail", durationMs: 90_000 }],
    rejected: "doctor-failed",
    usage: { input_tokens: 1_000, output_tokens: 200, cost_usd: 0.5 },
  });
  await run.attempt("1", { usage: { input_tokens: 34, cost_usd: 0.25 } });
  await run.land(["1"]);
  await run.attempt("2", { rejected: "agent-failed", then: "fail", usage: null });
  await run.stop("task-failed", "2 of 3 tasks did not land.");
  const summary = logSummarySchema.parse(await summarizeRun(home.store, {}));
  expect(summary).toEqual({
    run_id: "run-1",
    headline:
      "The run failed (task-failed): 2 of 3 tasks did not land; 1 of 3 tasks landed in 3 min 00 s.",
    tasks: [
      {
        id: "1",
        text: "Task 1 (Add a greeting) landed as 31ffffffff after 2 attempts. Attempt 1 was rejected (doctor-failed: doctor: fail, exit code 1) after 1 min 00 s. It used 1,234 tokens, $0.75.",
      },
      {
        id: "2",
        text: "Task 2 (Add a farewell) failed (agent-failed: it did not work out: agent-failed). Attempt 1 was rejected (agent-failed) after 1 min 00 s. What it used is unknown: the agent did not tell.",
      },
      { id: "3", text: "Task 3 was not started." },
    ],
    landings: ["landed 1: the branch is at 0000000000"],
    spend: "at least 1,234 tokens, $0.75; 1 task unknown",
    slowest: [
      { what: "doctor of task 1", duration_ms: 90_000 },
      { what: "attempt 1 of task 1", duration_ms: 60_000 },
      { what: "attempt 2 of task 1", duration_ms: 60_000 },
      { what: "attempt 1 of task 2", duration_ms: 60_000 },
    ],
  });
});

test("a cost that one agent did not tell makes the whole cost unknown, never smaller", async () => {
  await run.attempt("1", { usage: { input_tokens: 10, cost_usd: 0.5 } });
  await run.attempt("2", { usage: { input_tokens: 10 } });
  expect((await summarizeRun(home.store, {})).spend).toBe("20 tokens, at an unknown cost");
});

test("many unhappy attempts are counted, the last of them told", async () => {
  for (let number = 0; number < 7; number += 1) {
    await run.attempt("1", { rejected: "lint-failed", durationMs: 1_000 });
  }
  const [task] = (await summarizeRun(home.store, {})).tasks;
  expect(task?.text).toContain("waits for its next attempt after 7 attempts. 3 earlier attempts");
  expect(task?.text).toContain("Attempt 7 was rejected (lint-failed) after 1.0 s.");
  expect(task?.text).not.toContain("Attempt 3 ");
});

test("a run of which nothing is known yet is said to be just that", () => {
  expect(summarizeEvents([])).toMatchObject({
    headline: "Nothing has happened yet.",
    spend: "nothing",
  });
});
