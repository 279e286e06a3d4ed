import { afterEach, beforeEach, expect, test } from "vitest";
import {
  makeTestHome,
  recordRun,
  type RecordedRun,
  type TestHome,
} from "../../test/support/recorded-run.ts";
import { listFailures, logFailuresSchema } from "./failures.ts";
import { parseMoment } from "./moment.ts";
import { logEventsSchema, queryLogs } from "./query.ts";
import { logMatchesSchema, searchLogs } from "./search.ts";
import { readTimeline, timelineSchema } from "./timeline.ts";

let home: TestHome;
let run: RecordedRun;

beforeEach(async () => {
  home = await makeTestHome();
  run = await recordRun(home, { tasks: [{ id: "1" }, { id: "2" }] });
});
afterEach(() => home[Symbol.asyncDispose]());

const typesOf = (events: readonly { readonly type: string }[]) => events.map(({ type }) => type);

test("a query without conditions answers the newest events of the newest run", async () => {
  await run.attempt("1");
  home.clock.advance(1_000);
  await recordRun(home, { runId: "run-2", tasks: [{ id: "1" }] });
  const newest = logEventsSchema.parse(await queryLogs(home.store, { limit: 100 }));
  expect(newest).toMatchObject({ run_id: "run-2", has_older: false });
  const older = await queryLogs(home.store, { runId: "run-1", limit: 2 });
  expect(typesOf(older.events)).toEqual(["attempt.ended", "task.validated"]);
  expect(older.has_older).toBe(true);
});

test("the newest run is that of the configuration at hand", async () => {
  const configPath = "/other/.mycelium/config.yaml";
  await recordRun(home, { runId: "run-2", configPath, tasks: [{ id: "1" }] });
  expect(await queryLogs(home.store, { configPath, limit: 1 })).toMatchObject({ run_id: "run-2" });
  await expect(queryLogs(home.store, { configPath: "/third", limit: 1 })).rejects.toMatchObject({
    failure: { code: "run-missing", message: "there are no runs yet" },
  });
});

test("a query selects by task, by a glob of types and by time", async () => {
  await run.attempt("1", { gates: [{ gate: "doctor" }] });
  home.clock.advance(600_000);
  await run.attempt("2", { gates: [{ gate: "lint" }] });
  const limit = 100;
  const gates = await queryLogs(home.store, { type: "gate.*", limit });
  expect(gates.events.map(({ task_id }) => task_id)).toEqual(["1", "2"]);
  const ofTask = await queryLogs(home.store, { taskId: "2", type: "{gate,task}.*", limit });
  expect(typesOf(ofTask.events)).toEqual(["task.started", "gate.decided", "task.validated"]);
  const recent = await queryLogs(home.store, { type: "gate.*", since: "5m", limit });
  expect(recent.events.map(({ task_id }) => task_id)).toEqual(["2"]);
  const early = await queryLogs(home.store, {
    type: "gate.*",
    until: "2026-01-01T00:05:00Z",
    limit,
  });
  expect(early.events.map(({ task_id }) => task_id)).toEqual(["1"]);
});

test("a type that no event has is refused, with those that there are", async () => {
  await expect(queryLogs(home.store, { type: "gates.*", limit: 1 })).rejects.toMatchObject({
    failure: { code: "usage", hint: expect.stringContaining("gate.*") as string },
  });
});

test("moments are dates or times ago, and nothing else", () => {
  const nowMs = Date.parse("2026-11-20T12:00:00.000Z");
  expect(parseMoment("90s", nowMs)).toBe("2026-11-20T11:58:30.000Z");
  expect(parseMoment("3d", nowMs)).toBe("2026-11-17T12:00:00.000Z");
  expect(parseMoment("2026-11-20T13:00:00+02:00", nowMs)).toBe("2026-11-20T11:00:00.000Z");
  expect(parseMoment("2026-11-20", nowMs)).toBe("2026-11-20T00:00:00.000Z");
  for (const text of ["", "yesterday", "10", "m", "-5m", "2026-13-40", "1", "999999999d"]) {
    expect(() => parseMoment(text, nowMs), text).toThrow("is no moment");
  }
});

test("a search finds text in any payload, whatever its case, and shows its line", async () => {
  await run.attempt("1", { text: "first line\nthe Needle is here\nlast line" });
  await run.attempt("2", {
    gates: [{ gate: "doctor", answer: "fail", outputTail: `${"x".repeat(400)} needle` }],
    rejected: "doctor-failed",
  });
  const found = logMatchesSchema.parse(await searchLogs(home.store, { text: "nEEdle", limit: 10 }));
  expect(found.matches).toMatchObject([
    { field: "text", excerpt: "the Needle is here", event: { task_id: "1" } },
    { field: "output_tail", excerpt: `…${"x".repeat(119)} needle`, event: { task_id: "2" } },
  ]);
  const one = await searchLogs(home.store, { text: "needle", limit: 1 });
  expect(one).toMatchObject({ matches: [{ field: "text" }], has_more: true });
  const ofTask = await searchLogs(home.store, { text: "needle", taskId: "2", limit: 10 });
  expect(ofTask.matches).toHaveLength(1);
  expect(await searchLogs(home.store, { text: "absent", limit: 10 })).toMatchObject({
    matches: [],
  });
});

test("a search goes through more events than are read at once", async () => {
  await home.store.record(async (change) => {
    for (let index = 0; index < 2_500; index += 1) {
      const text = index === 2_499 ? "the needle" : "hay";
      const payload = { stream: "stdout", text } as const;
      await change.event(run.runId, { type: "agent.text", task_id: "1", payload });
    }
  });
  const found = await searchLogs(home.store, { text: "needle", limit: 10 });
  expect(found.matches).toMatchObject([{ excerpt: "the needle" }]);
});

test("the timeline has times since the start, durations, and none of an agent's talk", async () => {
  await run.attempt("1", { text: "chatter", gates: [{ gate: "doctor", durationMs: 2_500 }] });
  home.clock.advance(5_000);
  await run.land(["1"]);
  await run.stop("budget", "too dear");
  const { entries } = timelineSchema.parse(await readTimeline(home.store, {}));
  expect(entries.map(({ at_ms, text, duration_ms }) => [at_ms, duration_ms, text])).toEqual([
    [0, null, "run started: 2 tasks on main at 0000000000, agent mock, 2 at once"],
    [0, null, "mock starts on 0000000000"],
    [60_000, 2_500, "doctor: pass in 2.5 s"],
    [60_000, 60_000, "validated after 1 min 00 s"],
    [60_000, null, "validated: 1 file in 31ffffffff"],
    [65_000, null, "candidate 0000000000 of 1"],
    [65_000, 0, "landed 1: the branch is at 0000000000"],
    [65_000, 65_000, "complete: landed as 31ffffffff"],
    [65_000, 65_000, "run failed (budget): too dear"],
  ]);
  const ofTask = await readTimeline(home.store, { taskId: "2" });
  expect(ofTask.entries).toEqual([]);
});

test("failures are listed with their reasons and the end of the output", async () => {
  const outputTail = "Expected 1\nReceived 2";
  await run.attempt("1", {
    gates: [{ gate: "lint" }, { gate: "doctor", answer: "fail", outputTail }],
    rejected: "doctor-failed",
    message: "`npm test` said no\nand more",
  });
  await run.attempt("1");
  await run.attempt("2", { rejected: "agent-failed", then: "fail" });
  await run.land(["1"]);
  await run.stop("task-failed", "1 of 2 tasks did not land", "see the logs");
  const { failures } = logFailuresSchema.parse(await listFailures(home.store, {}));
  expect(failures).toMatchObject([
    { what: "doctor fail", reason: "exit code 1: `npm test`", detail: outputTail, attempt: 1 },
    { what: "retry", reason: "doctor-failed", detail: "`npm test` said no" },
    { what: "task failed", reason: "agent-failed", task_id: "2" },
    {
      what: "run failed",
      reason: "task-failed: 1 of 2 tasks did not land",
      detail: "see the logs",
    },
  ]);
  expect((await listFailures(home.store, { taskId: "2" })).failures).toHaveLength(1);
});

test("a run in which all went well has no failures", async () => {
  await run.attempt("1", { gates: [{ gate: "doctor" }] });
  await run.land(["1"]);
  expect((await listFailures(home.store, {})).failures).toEqual([]);
});
