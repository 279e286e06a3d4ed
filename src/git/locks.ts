import type { Clock } from "../lib/clock.ts";

/** git's words for a lock file of another process, or of one that died; only where git begins with them. */
const LOCK =
  /^(?:fatal|error): (?:cannot lock ref '[^']*': )?Unable to create '(.+?\.lock)': File exists/ms;

/** The path of the lock file that stood in git's way, or `null` where it was something else. */
export function lockPathOf(stderr: string): string | null {
  return LOCK.exec(stderr)?.[1] ?? null;
}

/** Waits between tries: about five seconds in all, after which nobody is at work on it any more. */
const PAUSES_MS = [20, 40, 80, 160, 320, 640, 1_000, 1_000, 2_000] as const;

/** Tries again while the outcome says so, for a bounded time; answers the last outcome. */
export async function retryWhile<T>(
  clock: Clock,
  attempt: () => Promise<T>,
  isPassing: (outcome: T) => boolean,
): Promise<T> {
  let outcome = await attempt();
  for (const pauseMs of PAUSES_MS) {
    if (!isPassing(outcome)) return outcome;
    await clock.sleep(pauseMs);
    outcome = await attempt();
  }
  return outcome;
}
