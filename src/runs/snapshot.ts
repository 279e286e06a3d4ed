import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { RUN_STATES } from "../domain/run.ts";
import { writeFileAtomically } from "../lib/atomic-file.ts";
import { timestamp } from "../lib/clock.ts";
import { findRun } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { followChanges, type Following } from "./follow-changes.ts";
import {
  readTaskFigures,
  sumUsages,
  taskFiguresSchema,
  usageFiguresSchema,
} from "./run-figures.ts";
import { runFolder } from "./run-folder.ts";

/** The contents of `state.json`. The database is the truth; this is what it was a moment ago. */
export const snapshotSchema = z.strictObject({
  v: z.literal(1),
  run_id: z.string(),
  status: z.enum(RUN_STATES),
  stop_reason: z.string().nullable(),
  stop_message: z.string().nullable(),
  branch: z.string(),
  base_commit: z.string(),
  started_at: z.string(),
  ended_at: z.string().nullable(),
  updated_at: z.string(),
  tasks: z.array(taskFiguresSchema),
  usage: usageFiguresSchema,
});

export type Snapshot = z.infer<typeof snapshotSchema>;

export interface SnapshotOptions {
  readonly store: Store;
  readonly home: string;
  readonly runId: string;
  /** How long changes are gathered before they are written. */
  readonly minIntervalMs: number;
  /** Told once when it cannot be written, and again only after it could be meanwhile. */
  readonly onTrouble?: (error: unknown) => void;
}

/** How long to leave a disk alone that could not be written to. */
const RETRY_MS = 5_000;

/**
 * Keeps `$MYCELIUM_HOME/runs/<run>/state.json` up to date: valid at every moment, written at once,
 * then at most once an interval, and a last time at the end.
 */
export async function openSnapshot(options: SnapshotOptions): Promise<Following> {
  const { store, home, runId, minIntervalMs } = options;
  const folder = runFolder(home, runId);
  return followChanges({
    ...options,
    gatherMs: minIntervalMs,
    retryMs: RETRY_MS,
    work: async () => {
      const snapshot = await readSnapshot(store, runId);
      if (snapshot === null) return;
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const text = `${JSON.stringify(snapshot, null, 2)}\n`;
      await writeFileAtomically(join(folder, "state.json"), text);
    },
  });
}

async function readSnapshot(store: Store, runId: string): Promise<Snapshot | null> {
  const run = await findRun(store.tables, runId);
  if (run === undefined) return null;
  const tasks = await readTaskFigures(store.tables, runId);
  return {
    v: 1,
    run_id: run.id,
    status: run.status,
    stop_reason: run.stop_reason,
    stop_message: run.stop_message,
    branch: run.branch,
    base_commit: run.base_commit,
    started_at: run.started_at,
    ended_at: run.ended_at,
    updated_at: timestamp(store.clock),
    tasks: [...tasks],
    usage: sumUsages(tasks.map(({ usage }) => usage)),
  };
}
