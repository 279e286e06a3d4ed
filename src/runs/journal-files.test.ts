import {
  appendFile,
  mkdir,
  readFile,
  readdir,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  makeTestHome,
  recordRun,
  type RecordedRun,
  type TestHome,
} from "../../test/support/recorded-run.ts";
import type { RecordedEvent } from "../domain/event.ts";
import { systemClock } from "../lib/clock.ts";
import { readEvents } from "../store/events.ts";
import { openStore } from "../store/store.ts";
import { openJournalFiles } from "./journal-files.ts";

let home: TestHome;
let run: RecordedRun;

beforeEach(async () => {
  home = await makeTestHome();
  run = await recordRun(home, { tasks: [{ id: "1" }, { id: "2" }] });
});
afterEach(() => home[Symbol.asyncDispose]());

const options = () => ({ store: home.store, home: home.path, runId: run.runId });
const runLog = () => join(home.path, "runs", run.runId, "orchestrator.jsonl");
const taskLog = (id: string) => join(home.path, "runs", run.runId, "tasks", id, "events.jsonl");

async function linesOf(path: string): Promise<RecordedEvent[]> {
  const text = await readFile(path, "utf8");
  expect(text.endsWith("\n")).toBe(true);
  return text
    .slice(0, -1)
    .split("\n")
    .map((line) => JSON.parse(line) as RecordedEvent);
}

async function expectMirrored(): Promise<void> {
  const all = await readEvents(home.store.tables, { runId: run.runId });
  expect(await linesOf(runLog())).toEqual(all);
  for (const id of ["1", "2"]) {
    const ofTask = all.filter((event) => event.task_id === id);
    if (ofTask.length > 0) expect(await linesOf(taskLog(id))).toEqual(ofTask);
  }
}

async function mirrorOnce(): Promise<void> {
  await (await openJournalFiles(options())).close();
}

test("events from before and after the opening stand in both files, in order", async () => {
  await run.attempt("1");
  const files = await openJournalFiles(options());
  await run.attempt("2");
  await run.land(["1", "2"]);
  await files.close();
  await expectMirrored();
});

test("new events are written while the run goes on, not only at its end", async () => {
  const store = await openStore({ home: home.path, clock: systemClock, redact: (text) => text });
  const files = await openJournalFiles({ ...options(), store });
  const other = await recordRun(
    { store, clock: home.clock },
    { runId: "run-2", tasks: [{ id: "1" }] },
  );
  await store.record((change) =>
    change.event(run.runId, {
      type: "run.paused",
      payload: { reason: "a", message: "b", hint: "c" },
    }),
  );
  await expect.poll(async () => (await linesOf(runLog())).at(-1)?.type).toBe("run.paused");
  await files.close();
  await store.close();
  await expectMirrored();
  expect(await readdir(join(home.path, "runs"))).toEqual([run.runId]);
  expect(other.runId).toBe("run-2");
});

test.each([1, 2, 20, 150, 10_000])("a last line that lost %i bytes is repaired", async (lost) => {
  await run.attempt("1");
  await run.attempt("2");
  await mirrorOnce();
  for (const path of [runLog(), taskLog("1"), taskLog("2")]) {
    const { size } = await stat(path);
    await truncate(path, Math.max(0, size - lost));
  }
  await run.land(["1"]);
  await mirrorOnce();
  await expectMirrored();
});

test.each([
  ["half a line", '{"v":1,"seq":99999,"ts"'],
  ["zeros, as after a power cut", "\0".repeat(200_000)],
  ["a line that is no event", '{"seq":"x"}\n'],
  ["a line that is no JSON", "garbage\n\n\n"],
])("%s at the end is cut off", async (_name, garbage) => {
  await run.attempt("1");
  await mirrorOnce();
  await appendFile(runLog(), garbage);
  await appendFile(taskLog("1"), garbage);
  await run.attempt("2");
  await mirrorOnce();
  await expectMirrored();
});

test("a file that is gone is written anew, the others are left as they are", async () => {
  await run.attempt("1");
  await run.attempt("2");
  await mirrorOnce();
  await rm(taskLog("1"));
  await mirrorOnce();
  await expectMirrored();
  await rm(runLog());
  await mirrorOnce();
  await expectMirrored();
});

test("opening again without new events adds nothing", async () => {
  await run.attempt("1");
  await mirrorOnce();
  const before = await readFile(runLog(), "utf8");
  await mirrorOnce();
  expect(await readFile(runLog(), "utf8")).toBe(before);
});

test("trouble is told once and made up for when the file can be written again", async () => {
  const troubles: unknown[] = [];
  await mkdir(join(home.path, "runs", run.runId), { recursive: true });
  await writeFile(join(home.path, "runs", run.runId, "tasks"), "in the way");
  const files = await openJournalFiles({
    ...options(),
    onTrouble: (error) => troubles.push(error),
  });
  await run.attempt("1");
  await expect.poll(() => home.clock.sleepers()).toBe(1);
  home.clock.advance(60_000);
  await expect.poll(() => home.clock.sleepers()).toBe(1);
  expect(troubles).toHaveLength(1);
  await rm(join(home.path, "runs", run.runId, "tasks"));
  home.clock.advance(60_000);
  await expect
    .poll(() =>
      stat(taskLog("1")).then(
        () => true,
        () => false,
      ),
    )
    .toBe(true);
  await files.close();
  await expectMirrored();
});

test.each(["..", ".", "", "../x", "a/b", "/etc", "a\0b"])(
  "a run whose id would lead out of the folder is refused: %j",
  async (runId) => {
    await expect(openJournalFiles({ ...options(), runId })).rejects.toThrow("name of a folder");
  },
);

test("a thousand tasks are mirrored whole", async () => {
  await home.store.record(async (change) => {
    for (let index = 0; index < 3_000; index += 1) {
      const payload = { stream: "stdout", text: `line ${index}` } as const;
      await change.event("big", { type: "agent.text", task_id: `t${index % 1000}`, payload });
    }
  });
  await (await openJournalFiles({ ...options(), runId: "big" })).close();
  const folder = join(home.path, "runs", "big");
  expect(await linesOf(join(folder, "orchestrator.jsonl"))).toHaveLength(3_000);
  expect(await readdir(join(folder, "tasks"))).toHaveLength(1_000);
  expect(await linesOf(join(folder, "tasks", "t999", "events.jsonl"))).toHaveLength(3);
});
