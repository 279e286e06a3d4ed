import { locateConfig } from "../config/locate.ts";
import { Refusal } from "../domain/failure.ts";
import { noRuns, noSuchRun, type RunQuery } from "../store/find-run.ts";
import type { OperationContext } from "./operation.ts";

/**
 * The run that an operation is about: the one that is named; else the newest that was started with
 * the configuration at hand; outside any repository the newest of all.
 */
export function runAtHand(context: OperationContext, runId: string | undefined): RunQuery {
  if (runId !== undefined) return { runId };
  return { configPath: configAtHand(context) };
}

/** What to answer where there is not even a store. */
export function refuseAbsent(runId: string | undefined): () => never {
  return () => {
    throw runId === undefined ? noRuns() : noSuchRun(runId);
  };
}

function configAtHand({ configFile, cwd }: OperationContext): string | undefined {
  try {
    return locateConfig({ configFile, cwd });
  } catch (error) {
    if (configFile === undefined && error instanceof Refusal) return undefined;
    throw error;
  }
}
