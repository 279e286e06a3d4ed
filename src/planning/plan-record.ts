import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { Refusal } from "../domain/failure.ts";
import { checkShape, listProblems } from "../domain/problem.ts";
import { syncFolder, writeFileAtomically } from "../lib/atomic-file.ts";
import { tryLockFile, type FileLock } from "../lib/file-lock.ts";
import { readTextFile } from "../lib/text-file.ts";

/** Where planning keeps account of the folders that it wrote, below the tasks' folder. */
const RECORD_NAME = "_plan.json";
/** Where new folders are made ready before they take their places. */
const STAGING_NAME = ".planning";
const LOCK_NAME = ".planning.lock";
const RECORD_BYTES_MAX = 10_000_000;

const folderName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/);

const recordSchema = z.strictObject({
  version: z.literal(1),
  /** The plan that the tasks come from, for people. */
  plan: z.string(),
  /** The folders that planning wrote, and may replace. */
  folders: z.array(folderName),
  /** Of the planning before, while `state` is `replacing`. */
  previous: z.array(folderName),
  /**
   * Once this says `replacing`, all new folders are ready and the old ones are given up: whoever
   * finds it completes it.
   */
  state: z.enum(["complete", "replacing"]),
});

export type PlanRecord = z.output<typeof recordSchema>;

export interface ReadRecord {
  readonly record: PlanRecord;
  /** As it was read, to tell whether it changed. */
  readonly text: string;
}

const NOTHING_PLANNED: PlanRecord = {
  version: 1,
  plan: "",
  folders: [],
  previous: [],
  state: "complete",
};

export function stagingOf(tasksDir: string): string {
  return join(tasksDir, STAGING_NAME);
}

export async function readRecord(tasksDir: string): Promise<ReadRecord> {
  const path = join(tasksDir, RECORD_NAME);
  const file = await readTextFile(path, { bytesMax: RECORD_BYTES_MAX, followLinks: false });
  if (!file.ok) {
    if (file.reason === "missing") return { record: NOTHING_PLANNED, text: "" };
    throw unusable(path, file.message);
  }
  let value: unknown;
  try {
    value = JSON.parse(file.text);
  } catch {
    throw unusable(path, "is not JSON");
  }
  const checked = checkShape(recordSchema, value);
  if (!checked.ok) throw unusable(path, listProblems(checked.problems));
  return { record: checked.value, text: file.text };
}

/** Reads the record, after completing what an interrupted planning left to do. */
export async function readSettledRecord(tasksDir: string): Promise<ReadRecord> {
  const found = await readRecord(tasksDir);
  if (found.record.state === "complete") return found;
  using _lock = lockTasks(tasksDir);
  await completeReplacement(tasksDir);
  return readRecord(tasksDir);
}

export async function writeRecord(tasksDir: string, record: PlanRecord): Promise<void> {
  await writeFileAtomically(join(tasksDir, RECORD_NAME), `${JSON.stringify(record, null, 2)}\n`);
}

/** Keeps other processes from planning there until disposed. Throws `repository-busy`. */
export function lockTasks(tasksDir: string): FileLock {
  const lock = tryLockFile(join(tasksDir, LOCK_NAME));
  if (lock !== null) return lock;
  throw new Refusal("repository-busy", `another process is writing the tasks in ${tasksDir}`, {
    hint: "wait until it has ended, then try again",
  });
}

/** Brings a recorded replacement to its end; does nothing where none is open. Needs the lock. */
export async function completeReplacement(tasksDir: string): Promise<void> {
  const { record } = await readRecord(tasksDir);
  if (record.state === "complete") return;
  for (const step of replacementSteps(record)) await takeStep(tasksDir, step);
  await syncFolder(tasksDir);
  await writeRecord(tasksDir, { ...record, previous: [], state: "complete" });
  await rm(stagingOf(tasksDir), { recursive: true, force: true });
}

export type ReplacementStep =
  | { readonly kind: "remove"; readonly name: string }
  | { readonly kind: "move"; readonly name: string };

/** Removes first, so that no moment has two folders of one task. Each step may be taken twice. */
export function replacementSteps(record: PlanRecord): readonly ReplacementStep[] {
  const kept = new Set(record.folders);
  return [
    ...record.previous
      .filter((name) => !kept.has(name))
      .map((name): ReplacementStep => ({ kind: "remove", name })),
    ...record.folders.map((name): ReplacementStep => ({ kind: "move", name })),
  ];
}

export async function takeStep(tasksDir: string, { kind, name }: ReplacementStep): Promise<void> {
  const place = join(tasksDir, name);
  if (kind === "remove") {
    await rm(place, { recursive: true, force: true });
    return;
  }
  const staged = join(stagingOf(tasksDir), name);
  // Not there any more: an earlier process moved it.
  if (!existsSync(staged)) return;
  await rm(place, { recursive: true, force: true });
  await rename(staged, place);
}

function unusable(path: string, problem: string): Refusal {
  return new Refusal("task-invalid", `${path} cannot be used: ${problem}`, {
    hint: "delete it: the folders beside it then count as written by hand",
    details: { path },
  });
}
