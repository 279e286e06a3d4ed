import { expect, test } from "vitest";
import { withDeadline } from "./deadline.ts";

const never = new AbortController().signal;

test("answers what the work answers, and leaves its signal alone", async () => {
  let inner: AbortSignal | null = null;
  const outcome = await withDeadline({ timeoutMs: 60_000, signal: never }, async (signal) => {
    inner = signal;
    return 7;
  });
  expect(outcome).toEqual({ kind: "done", value: 7 });
  expect(inner).toMatchObject({ aborted: false });
});

test("what the work throws is thrown", async () => {
  const outcome = withDeadline({ timeoutMs: 60_000, signal: never }, async () => {
    throw new Error("broken");
  });
  await expect(outcome).rejects.toThrow("broken");
});

test("gives up on work that takes too long, and tells it", async () => {
  const told = Promise.withResolvers<boolean>();
  const outcome = await withDeadline({ timeoutMs: 5, signal: never }, (signal) => {
    signal.addEventListener("abort", () => told.resolve(true));
    return new Promise(() => {});
  });
  expect(outcome).toEqual({ kind: "timed-out" });
  expect(await told.promise).toBe(true);
});

test("gives up when it is stopped, also before it began", async () => {
  const controller = new AbortController();
  const limits = { timeoutMs: 60_000, signal: controller.signal };
  const outcome = withDeadline(limits, () => {
    controller.abort();
    return new Promise(() => {});
  });
  expect(await outcome).toEqual({ kind: "aborted" });
  let began = false;
  const late = await withDeadline(limits, async () => {
    began = true;
  });
  expect({ late, began }).toEqual({ late: { kind: "aborted" }, began: false });
});
