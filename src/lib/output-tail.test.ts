import { array, assert, nat, property, uint8Array } from "fast-check";
import { expect, test } from "vitest";
import { makeOutputTail } from "./output-tail.ts";

test("whatever comes in whatever pieces, the tail is the end of it and the counts add up", () => {
  const pieces = array(uint8Array({ maxLength: 40 }), { maxLength: 30 });
  assert(
    property(pieces, nat({ max: 100 }), (chunks, bytesMax) => {
      const tail = makeOutputTail(bytesMax);
      for (const chunk of chunks) tail.push(Buffer.from(chunk));
      const all = Buffer.concat(chunks);
      const end = all.subarray(Math.max(0, all.length - bytesMax));
      expect(tail.read()).toEqual({
        bytes: Buffer.from(end),
        totalBytes: all.length,
        droppedBytes: all.length - end.length,
      });
    }),
  );
});

test("a tail larger than its first room grows without losing a byte", () => {
  const tail = makeOutputTail(100_000);
  const all = Buffer.alloc(150_001, "abcdefghijk");
  for (let at = 0; at < all.length; at += 997) tail.push(all.subarray(at, at + 997));
  expect(tail.read().bytes.equals(all.subarray(50_001))).toBe(true);
  expect(tail.read().droppedBytes).toBe(50_001);
});
