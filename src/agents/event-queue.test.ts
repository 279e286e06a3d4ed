import { expect, test } from "vitest";
import { NO_USAGE, type Usage } from "../domain/usage.ts";
import type { AgentEvent } from "./agent.ts";
import { makeEventQueue, QUEUED_EVENTS_MAX, QUEUED_TEXT_BYTES_MAX } from "./event-queue.ts";

const usage = (tokens: number): Usage => ({ ...NO_USAGE, input_tokens: tokens });

async function readAll(events: AsyncIterable<AgentEvent>): Promise<readonly AgentEvent[]> {
  const all: AgentEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

test("a reader gets what comes before and while it reads, in order", async () => {
  const queue = makeEventQueue();
  queue.pushText("stdout", "one");
  const reading = readAll(queue.events());
  queue.pushUsage(usage(2));
  queue.pushText("stderr", "three");
  queue.close();
  expect(await reading).toEqual([
    { kind: "text", stream: "stdout", text: "one" },
    { kind: "usage", usage: usage(2) },
    { kind: "text", stream: "stderr", text: "three" },
  ]);
});

test("text beyond the bound is dropped, and one event says how much, where it is missing", async () => {
  const queue = makeEventQueue();
  const kilobyte = "é".repeat(512);
  const fitting = Math.floor(QUEUED_TEXT_BYTES_MAX / 1024);
  for (let count = 0; count < fitting + 10; count += 1) queue.pushText("stdout", kilobyte);
  queue.close();
  const events = await readAll(queue.events());
  const fittingNow = Math.min(fitting, QUEUED_EVENTS_MAX);
  expect(events.length).toBe(fittingNow + 1);
  const missing = (fitting + 10 - fittingNow) * 1024;
  expect(events.at(-1)).toMatchObject({
    kind: "text",
    text: expect.stringContaining(`${missing} bytes of output were dropped`),
  });
});

test("after it caught up a reader gets text again", async () => {
  const queue = makeEventQueue();
  queue.pushText("stdout", "first");
  queue.pushText("stdout", "x".repeat(QUEUED_TEXT_BYTES_MAX));
  queue.pushText("stdout", "also dropped");
  const events = queue.events();
  expect((await events.next()).value).toMatchObject({ text: "first" });
  const dropped = `${QUEUED_TEXT_BYTES_MAX + 12} bytes`;
  expect((await events.next()).value).toMatchObject({ text: expect.stringContaining(dropped) });
  queue.pushText("stdout", "again");
  expect((await events.next()).value).toMatchObject({ text: "again" });
});

test("usage is never dropped, only added up", async () => {
  const queue = makeEventQueue();
  const count = QUEUED_EVENTS_MAX * 3;
  for (let times = 0; times < count; times += 1) {
    queue.pushText("stdout", "x");
    queue.pushUsage(usage(1));
  }
  queue.close();
  const events = await readAll(queue.events());
  const tokens = events.map((event) => (event.kind === "usage" ? event.usage.input_tokens : 0));
  expect(tokens.reduce((sum, next) => sum + next, 0)).toBe(count);
  expect(events.length).toBeLessThanOrEqual(QUEUED_EVENTS_MAX + 2);
});
