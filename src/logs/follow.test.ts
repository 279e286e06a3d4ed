import { afterEach, beforeEach, expect, test } from "vitest";
import {
  makeTestHome,
  recordRun,
  type RecordedRun,
  type TestHome,
} from "../../test/support/recorded-run.ts";
import { eventually } from "../../test/support/eventually.ts";
import type { RecordedEvent } from "../domain/event.ts";
import { readEvents } from "../store/events.ts";
import { followEvents, type FollowEnd } from "./follow.ts";

let home: TestHome;
let run: RecordedRun;
let stop: AbortController;

beforeEach(async () => {
  home = await makeTestHome();
  run = await recordRun(home, { tasks: [{ id: "1" }, { id: "2" }] });
  stop = new AbortController();
});
afterEach(() => home[Symbol.asyncDispose]());

async function follow(seen: RecordedEvent[], after = 0): Promise<FollowEnd> {
  const events = followEvents(home.store, { runId: run.runId, after, signal: stop.signal });
  for (;;) {
    const next = await events.next();
    if (next.done === true) return next.value;
    seen.push(next.value);
  }
}

const recorded = () => readEvents(home.store.tables, { runId: run.runId });

test("every event is seen once and in order, from the beginning to the run's end", async () => {
  const seen: RecordedEvent[] = [];
  const following = follow(seen);
  for (const id of ["1", "2"]) {
    await run.attempt(id, { durationMs: 10 });
    await eventually("it waits for more", () => home.clock.sleepers() === 1);
    home.clock.advance(500);
  }
  await run.land(["1", "2"]);
  await run.complete();
  await eventually("it waits for more", () => home.clock.sleepers() === 1);
  home.clock.advance(500);
  const all = await recorded();
  expect(await following).toEqual({
    ended: "run",
    status: "complete",
    lastSeq: all.at(-1)?.seq,
  });
  expect(seen).toEqual(all);
});

test("more events than are read at once are all seen", async () => {
  await home.store.record(async (change) => {
    for (let index = 0; index < 1_234; index += 1) {
      const payload = { stream: "stdout", text: `${index}` } as const;
      await change.event(run.runId, { type: "agent.text", task_id: "1", payload });
    }
  });
  await run.complete();
  const seen: RecordedEvent[] = [];
  await follow(seen);
  expect(seen).toEqual(await recorded());
});

test("it begins after the event that it is told", async () => {
  await run.attempt("1");
  await run.stop("interrupted", "stopped by SIGINT");
  const all = await recorded();
  const seen: RecordedEvent[] = [];
  expect(await follow(seen, all[2]?.seq)).toMatchObject({ ended: "run", status: "paused" });
  expect(seen).toEqual(all.slice(3));
});

test("it ends when it is aborted", async () => {
  const seen: RecordedEvent[] = [];
  const following = follow(seen);
  await eventually("it waits for more", () => home.clock.sleepers() === 1);
  stop.abort();
  expect(await following).toMatchObject({ ended: "signal", status: "running", lastSeq: 1 });
});

test("it ends when the run's process is gone", async () => {
  const following = follow([]);
  await eventually("it waits for more", () => home.clock.sleepers() === 1);
  home.clock.advance(1_000);
  await eventually("it waits for more", () => home.clock.sleepers() === 1);
  home.clock.advance(1_000);
  expect(await following).toMatchObject({ ended: "process", status: "running" });
});
