import type { Environment } from "../config/environment.ts";
import { Refusal } from "../domain/failure.ts";
import { armCrashPoint, CRASH_POINTS } from "../lib/crash-point.ts";

/** For tests of recovery: ends this process at the moment that the environment names. */
export function armCrashPointOf({ crashAt }: Pick<Environment, "crashAt">): void {
  if (crashAt === null) return;
  try {
    armCrashPoint(crashAt);
  } catch (error) {
    throw new Refusal(
      "usage",
      `MYCELIUM_CRASH_AT: ${error instanceof Error ? error.message : ""}`,
      {
        hint: `unset it; it is for tests, and known are ${CRASH_POINTS.join(", ")}`,
        cause: error,
      },
    );
  }
}
