import { expect, test } from "vitest";
import { runProcess } from "./process.ts";

const MODULE = new URL("young-memory.ts", import.meta.url).href;

/** Much that survives for a short time; prints how large the young part of the heap became. */
const SCRIPT = `
import { getHeapSpaceStatistics } from "node:v8";
const { keepYoungMemorySmall } = await import("${MODULE}");
if (process.argv[1] === "small") keepYoungMemorySmall();
let kept = [];
for (let count = 0; count < 2_000_000; count += 1) {
  kept.push({ count, more: [count] });
  if (kept.length > 100_000) kept = [];
}
console.log(getHeapSpaceStatistics().find((space) => space.space_name === "new_space").space_size);
`;

async function youngBytes(how: string): Promise<number> {
  const { ending, stdout } = await runProcess({
    command: [process.execPath, "--input-type=module", "--eval", SCRIPT, how],
    cwd: "/",
    env: {},
    timeoutMs: 60_000,
    outputBytesMax: 1_000,
  });
  expect(ending).toEqual({ kind: "exited", code: 0 });
  return Number(stdout.bytes.toString());
}

test("the young part of the heap stays small, which it does not by itself", async () => {
  expect(await youngBytes("small")).toBeLessThan(16_000_000);
  expect(await youngBytes("as it is")).toBeGreaterThan(32_000_000);
}, 120_000);
