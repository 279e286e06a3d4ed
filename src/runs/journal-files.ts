import { join } from "node:path";
import type { RecordedEvent } from "../domain/event.ts";
import { readEvents } from "../store/events.ts";
import type { Store } from "../store/store.ts";
import { followChanges, type Following } from "./follow-changes.ts";
import { appendLines, repairTail } from "./json-lines-file.ts";
import { runFolder, taskFolder } from "./run-folder.ts";

/**
 * The run's events as files, for people and their tools: `orchestrator.jsonl` with all of them and
 * `tasks/<task>/events.jsonl` with a task's. They follow the database and may lag behind it; what
 * could not be written is made up for by whoever opens them next.
 */
export interface JournalFilesOptions {
  readonly store: Store;
  readonly home: string;
  readonly runId: string;
  /** Told once when the files cannot be written, and again only after they could be meanwhile. */
  readonly onTrouble?: (error: unknown) => void;
}

/** Events that are in memory at once, whatever the run's size. */
const BATCH_EVENTS_MAX = 500;

/** Files that are open at once. */
const OPEN_FILES_MAX = 4;

/** Events that come within this time are written together. */
const GATHER_MS = 50;

/** How long to leave a disk alone that could not be written to. */
const RETRY_MS = 5_000;

/** Repairs the files, writes what they lack and goes on with every new event. */
export async function openJournalFiles(options: JournalFilesOptions): Promise<Following> {
  runFolder(options.home, options.runId);
  let positions: Positions | null = null;
  const catchUp = async (): Promise<void> => {
    // Taken out until all is written: after a failure a line may be half there, and the files are
    // looked at anew before anything is added.
    const known = positions ?? (await findPositions(options));
    positions = null;
    await writeMissing(options, known);
    positions = known;
  };
  return followChanges({ ...options, gatherMs: GATHER_MS, retryMs: RETRY_MS, work: catchUp });
}

/** How far each file has come. */
interface Positions {
  /** Everything up to here is in every file that it belongs in. */
  settled: number;
  run: number;
  readonly tasks: Map<string, number>;
}

async function findPositions({ store, home, runId }: JournalFilesOptions): Promise<Positions> {
  const run = await repairTail(runLog(home, runId));
  const newest = await store.tables
    .selectFrom("events")
    .select((select) => ["task_id", select.fn.max("seq").as("seq")])
    .where("run_id", "=", runId)
    .where("task_id", "is not", null)
    .groupBy("task_id")
    .execute();
  const tasks = new Map<string, number>();
  let settled = run;
  await eachOfFew(newest, async ({ task_id, seq }) => {
    if (task_id === null) return;
    const written = await repairTail(taskLog(home, runId, task_id));
    tasks.set(task_id, written);
    if (written < seq) settled = Math.min(settled, written);
  });
  return { settled, run, tasks };
}

async function writeMissing(options: JournalFilesOptions, positions: Positions): Promise<void> {
  const { store, runId } = options;
  for (;;) {
    const query = { runId, after: positions.settled, limit: BATCH_EVENTS_MAX };
    const events = await readEvents(store.tables, query);
    const last = events.at(-1);
    if (last === undefined) return;
    await writeTasks(options, positions, events);
    const missing = events.filter(({ seq }) => seq > positions.run);
    if (missing.length > 0) await appendLines(runLog(options.home, runId), missing.map(toLine));
    positions.run = Math.max(positions.run, last.seq);
    positions.settled = last.seq;
  }
}

async function writeTasks(
  { home, runId }: JournalFilesOptions,
  { tasks }: Positions,
  events: readonly RecordedEvent[],
): Promise<void> {
  const byTask = Map.groupBy(events, (event) => event.task_id);
  await eachOfFew([...byTask], async ([taskId, all]) => {
    if (taskId === undefined) return;
    const written = tasks.get(taskId) ?? 0;
    const missing = all.filter(({ seq }) => seq > written);
    const last = missing.at(-1);
    if (last === undefined) return;
    await appendLines(taskLog(home, runId, taskId), missing.map(toLine));
    tasks.set(taskId, last.seq);
  });
}

/** Works through the items with a few at a time; after a failure no further one is begun. */
async function eachOfFew<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    try {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
    } catch (error) {
      left.length = 0;
      throw error;
    }
  };
  const workers = Array.from({ length: OPEN_FILES_MAX }, worker);
  const ends = await Promise.allSettled(workers);
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

function toLine(event: RecordedEvent): string {
  return JSON.stringify(event);
}

function runLog(home: string, runId: string): string {
  return join(runFolder(home, runId), "orchestrator.jsonl");
}

function taskLog(home: string, runId: string, taskId: string): string {
  return join(taskFolder(home, runId, taskId), "events.jsonl");
}
