import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import {
  commitOf,
  makeTestHome,
  recordRun,
  type RecordedRun,
  type TestHome,
} from "../../test/support/recorded-run.ts";
import { openSnapshot, snapshotSchema, type Snapshot } from "./snapshot.ts";

let home: TestHome;
let run: RecordedRun;

beforeEach(async () => {
  home = await makeTestHome();
  run = await recordRun(home, { tasks: [{ id: "1" }, { id: "2" }, { id: "3" }] });
});
afterEach(() => home[Symbol.asyncDispose]());

const options = () => ({
  store: home.store,
  home: home.path,
  runId: run.runId,
  minIntervalMs: 1_000,
});
const folder = () => join(home.path, "runs", run.runId);

async function readState(): Promise<Snapshot> {
  const text = await readFile(join(folder(), "state.json"), "utf8");
  return snapshotSchema.parse(JSON.parse(text));
}

test("it stands there as soon as it is open, and says how the run ended when it is closed", async () => {
  const snapshot = await openSnapshot(options());
  expect(await readState()).toMatchObject({ v: 1, status: "running", ended_at: null });
  await run.attempt("1", { usage: { input_tokens: 100, output_tokens: 20, cost_usd: 0.5 } });
  await run.attempt("2", { rejected: "doctor-failed", then: "fail", usage: null });
  await run.land(["1"]);
  await run.stop("task-failed", "1 of 3 tasks did not land");
  await snapshot.close();
  const state = await readState();
  expect(state).toMatchObject({
    run_id: "run-1",
    status: "failed",
    stop_reason: "task-failed",
    usage: { tokens: 120, cost_usd: null, silent_attempts: 1 },
  });
  expect(state.tasks).toMatchObject([
    { id: "1", state: "complete", attempts: 1, landed_commit: commitOf("1") },
    { id: "2", state: "failed", reason: "doctor-failed", usage: { tokens: null, cost_usd: null } },
    { id: "3", state: "pending", attempts: 0, usage: { tokens: 0, cost_usd: 0 } },
  ]);
  expect(await readdir(folder())).toEqual(["state.json"]);
});

test("changes of one interval are written once, at its end", async () => {
  const snapshot = await openSnapshot(options());
  const { updated_at } = await readState();
  await run.attempt("1", { durationMs: 0 });
  await run.attempt("2", { durationMs: 0 });
  await eventually("it gathers", () => home.clock.sleepers() === 1);
  home.clock.advance(999);
  expect(await readState()).toMatchObject({ updated_at });
  home.clock.advance(1);
  await eventually("it is written", async () => (await readState()).updated_at !== updated_at);
  expect((await readState()).tasks.map(({ state }) => state)).toEqual([
    "validated",
    "validated",
    "pending",
  ]);
  await snapshot.close();
});

test("what cannot be written is told once, and written when it can be", async () => {
  const troubles: unknown[] = [];
  await mkdir(join(home.path, "runs"));
  await writeFile(folder(), "in the way");
  const onTrouble = (error: unknown) => troubles.push(error);
  const snapshot = await openSnapshot({ ...options(), onTrouble });
  home.clock.advance(60_000);
  await eventually("it tries again", () => home.clock.sleepers() === 1);
  expect(troubles).toHaveLength(1);
  await rm(folder());
  await snapshot.close();
  expect(await readState()).toMatchObject({ status: "running" });
});
