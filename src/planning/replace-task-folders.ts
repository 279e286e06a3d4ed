import { mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Problem } from "../domain/problem.ts";
import { taskFolderName, type TaskDefinition } from "../domain/task.ts";
import { syncFolder } from "../lib/atomic-file.ts";
import { mapLimited } from "../lib/map-limited.ts";
import { completeReplacement, readRecord, stagingOf, writeRecord } from "./plan-record.ts";
import {
  formatManifest,
  listTaskFolders,
  MANIFEST_NAME,
  scanTaskFolders,
  SPEC_NAME,
  type TaskFolder,
} from "./task-folders.ts";

const FOLDERS_AT_ONCE = 16;

/** What stands below a tasks' folder, by who wrote it. */
export interface Inventory {
  /** Folders that planning wrote, and may replace. */
  readonly planned: readonly string[];
  /** Folders that a person added. They stay. */
  readonly byHand: readonly string[];
  /** The tasks of those that can be read; `run` names what is wrong with the others. */
  readonly tasksByHand: readonly TaskFolder[];
}

/** Changes nothing, and needs no lock to be a good guess. */
export async function takeInventory(tasksDir: string): Promise<Inventory> {
  const { record } = await readRecord(tasksDir);
  const own = new Set([...record.folders, ...record.previous]);
  const names = await listTaskFolders(tasksDir);
  const byHand = names.filter((name) => !own.has(name));
  const { tasks } = await scanTaskFolders(tasksDir, byHand);
  return { planned: names.filter((name) => own.has(name)), byHand, tasksByHand: tasks };
}

/** What keeps new tasks from taking the places of those that were planned before. */
export async function findObstacles(
  tasksDir: string,
  inventory: Inventory,
  tasks: readonly TaskDefinition[],
): Promise<readonly Problem[]> {
  const clashes = tasks.flatMap(({ manifest }): readonly Problem[] => {
    const { id } = manifest;
    const taken = findTaken(inventory, id, taskFolderName(manifest));
    if (taken === null) return [];
    const problem = `has the id of ${taken}, which a person added`;
    return [{ path: `task ${id}`, problem, hint: `move ${taken} away, or change one of the ids` }];
  });
  const strangers = await mapLimited(inventory.planned, FOLDERS_AT_ONCE, async (name) => {
    return findStrangers(join(tasksDir, name));
  });
  return [...clashes, ...strangers.flat()];
}

/**
 * Replaces exactly what planning wrote before by the new tasks. Needs the lock, and no obstacles.
 * After a crash at any moment the old tasks are whole, or the new ones are completed by the next
 * reader.
 */
export async function replaceTaskFolders(
  tasksDir: string,
  plan: string,
  tasks: readonly TaskDefinition[],
): Promise<void> {
  await completeReplacement(tasksDir);
  const { record } = await readRecord(tasksDir);
  const staging = stagingOf(tasksDir);
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging);
  await mapLimited(tasks, FOLDERS_AT_ONCE, (task) => writeTask(staging, task));
  await syncFolder(staging);
  await writeRecord(tasksDir, {
    version: 1,
    plan,
    folders: tasks.map(({ manifest }) => taskFolderName(manifest)),
    previous: record.folders,
    state: "replacing",
  });
  await completeReplacement(tasksDir);
}

async function writeTask(staging: string, { manifest, spec }: TaskDefinition): Promise<void> {
  const folder = join(staging, taskFolderName(manifest));
  await mkdir(folder);
  await writeSynced(join(folder, MANIFEST_NAME), formatManifest(manifest));
  await writeSynced(join(folder, SPEC_NAME), spec);
  await syncFolder(folder);
}

async function writeSynced(path: string, content: string): Promise<void> {
  await using file = await open(path, "wx");
  await file.writeFile(content);
  await file.sync();
}

function findTaken(inventory: Inventory, id: string, folder: string): string | null {
  const lower = id.toLowerCase();
  const task = inventory.tasksByHand.find(({ manifest }) => manifest.id.toLowerCase() === lower);
  if (task !== undefined) return task.path;
  // A folder that cannot be read may still be in the way.
  return inventory.byHand.find((name) => name === folder || name === id) ?? null;
}

/** Files that a person put beside the manifest would be lost with the folder. */
async function findStrangers(folder: string): Promise<readonly Problem[]> {
  const names = await readdir(folder).catch(() => []);
  const strangers = names.filter((name) => name !== MANIFEST_NAME && name !== SPEC_NAME);
  if (strangers.length === 0) return [];
  const problem = `would be replaced, but holds ${strangers.slice(0, 5).join(", ")}, added by hand`;
  return [{ path: folder, problem, hint: "move that away first" }];
}
