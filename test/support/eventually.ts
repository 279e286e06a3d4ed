import { setTimeout as pause } from "node:timers/promises";

const WITHIN_MS = 10_000;
const PAUSE_MS = 5;

/** Waits for a condition on something that cannot signal the test; fails with its name. */
export async function eventually(
  name: string,
  isTrue: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + WITHIN_MS;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`not within ${WITHIN_MS} ms: ${name}`);
    await pause(PAUSE_MS);
  }
}
