import { expect, test } from "vitest";
import { mapLimited } from "./map-limited.ts";

test("keeps the order, and never has more at a time than allowed", async () => {
  let running = 0;
  let most = 0;
  const items = Array.from({ length: 50 }, (_, index) => index);
  const doubled = await mapLimited(items, 8, async (item) => {
    running += 1;
    most = Math.max(most, running);
    await Promise.resolve();
    running -= 1;
    return item * 2;
  });
  expect(doubled).toEqual(items.map((item) => item * 2));
  expect(most).toBe(8);
});
