import type { Clock } from "../../src/lib/clock.ts";

/** Time that moves only when a test says so. */
export interface ManualClock extends Clock {
  advance(ms: number): void;
  /** How many are asleep. */
  sleepers(): number;
}

export function manualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let elapsed = 0;
  const sleepers = new Set<{ readonly until: number; readonly wake: () => void }>();
  return {
    now: () => startMs + elapsed,
    monotonic: () => elapsed,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) {
          resolve();
          return;
        }
        const sleeper = {
          until: elapsed + ms,
          wake: () => {
            sleepers.delete(sleeper);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", sleeper.wake, { once: true });
      }),
    sleepers: () => sleepers.size,
    advance: (ms) => {
      elapsed += ms;
      for (const sleeper of sleepers) if (sleeper.until <= elapsed) sleeper.wake();
    },
  };
}
