import { existsSync } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { Refusal } from "../domain/failure.ts";
import { checkShape, listProblems, type Problem } from "../domain/problem.ts";
import { compareIds } from "../domain/schedule.ts";
import { manifestSchema, type Manifest, type TaskDefinition } from "../domain/task.ts";
import { writeFileAtomically } from "../lib/atomic-file.ts";
import { mapLimited } from "../lib/map-limited.ts";
import { readTextFile } from "../lib/text-file.ts";
import { readSettledRecord } from "./plan-record.ts";

export const MANIFEST_NAME = "manifest.json";
export const SPEC_NAME = "spec.md";

const FILE_BYTES_MAX = 1_000_000;
const FILES_AT_ONCE = 32;
const TASKS_MAX = 10_000;

/** A task with the folder that it was read from. */
export interface TaskFolder extends TaskDefinition {
  /** Absolute. */
  readonly path: string;
}

export interface FolderScan {
  readonly tasks: readonly TaskFolder[];
  readonly problems: readonly Problem[];
}

/**
 * Every task below `tasksDir`, in the order of ids; none where the folder is missing. An
 * interrupted planning is brought to its end first. Throws `task-invalid` with every problem of
 * every folder, or `repository-busy` while another process is planning there.
 */
export async function readTaskFolders(tasksDir: string): Promise<readonly TaskFolder[]> {
  const before = await readSettledRecord(tasksDir);
  const { tasks, problems } = await scanTaskFolders(tasksDir, await listTaskFolders(tasksDir));
  const after = await readSettledRecord(tasksDir);
  if (before.text !== after.text) {
    throw new Refusal("repository-busy", `the tasks in ${tasksDir} were planned anew just now`, {
      hint: "try again",
    });
  }
  if (problems.length > 0) throw invalid(problems);
  return tasks;
}

/** One task's folder; `null` where it is gone. Throws `task-invalid` with its problems. */
export async function readTaskFolder(path: string): Promise<TaskFolder | null> {
  if (!existsSync(path)) return null;
  const { task, problems } = await scanTaskFolder(path);
  if (task === null) throw invalid(problems);
  return task;
}

/**
 * Replaces a task's manifest in one step. Throws `task-invalid` where the folder is gone or holds
 * another task by now.
 */
export async function rewriteManifest(path: string, manifest: Manifest): Promise<void> {
  const current = await readTaskFolder(path);
  if (current === null) {
    const problem = "is gone, so its manifest cannot be changed";
    throw invalid([{ path, problem, hint: "plan again, then start a new run" }]);
  }
  if (current.manifest.id !== manifest.id) {
    const problem = `holds task ${current.manifest.id} by now, not ${manifest.id}`;
    throw invalid([{ path, problem, hint: "start a new run with the tasks that are there now" }]);
  }
  await writeFileAtomically(join(path, MANIFEST_NAME), formatManifest(manifest));
}

export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** The names of what may be task folders: links too, so that they can be refused by name. */
export async function listTaskFolders(tasksDir: string): Promise<readonly string[]> {
  const entries = await readdir(tasksDir, { withFileTypes: true }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  });
  const names = entries
    .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && !/^[._]/.test(entry.name))
    .map(({ name }) => name);
  if (names.length <= TASKS_MAX) return names.toSorted(compareIds);
  const problem = `holds ${names.length} folders, more than ${TASKS_MAX}`;
  throw invalid([{ path: tasksDir, problem, hint: "split the plan" }]);
}

export async function scanTaskFolders(
  tasksDir: string,
  names: readonly string[],
): Promise<FolderScan> {
  const paths = names.map((name) => join(tasksDir, name));
  const scans = await mapLimited(paths, FILES_AT_ONCE, scanTaskFolder);
  return {
    tasks: scans
      .flatMap(({ task }) => task ?? [])
      .toSorted((left, right) => compareIds(left.manifest.id, right.manifest.id)),
    problems: scans.flatMap(({ problems }) => problems),
  };
}

async function scanTaskFolder(
  path: string,
): Promise<{ readonly task: TaskFolder | null; readonly problems: readonly Problem[] }> {
  if ((await lstat(path)).isSymbolicLink()) {
    // It would bring in files from anywhere.
    const problem = "is a symbolic link, which is not followed";
    return { task: null, problems: [{ path, problem, hint: "put a real folder in its place" }] };
  }
  const [manifest, spec] = await Promise.all([readManifest(path), readSpec(path)]);
  const problems = [...manifest.problems, ...spec.problems];
  if (manifest.value === null || spec.value === null) return { task: null, problems };
  return { task: { path, manifest: manifest.value, spec: spec.value }, problems };
}

interface Part<T> {
  readonly value: T | null;
  readonly problems: readonly Problem[];
}

async function readManifest(folder: string): Promise<Part<Manifest>> {
  const path = join(folder, MANIFEST_NAME);
  const file = await readTextFile(path, { bytesMax: FILE_BYTES_MAX, followLinks: false });
  if (!file.ok) return wrong(path, file.message, "each task's folder needs one; or remove it");
  let value: unknown;
  try {
    value = JSON.parse(file.text);
  } catch (error) {
    return wrong(path, `is not JSON: ${(error as Error).message}`, null);
  }
  const checked = checkShape(manifestSchema, value);
  if (!checked.ok) {
    const problems = checked.problems.map(({ path: field, problem, hint }): Problem => {
      return { path: `${path}: ${field}`, problem, hint };
    });
    return { value: null, problems };
  }
  const { id } = checked.value;
  const name = basename(folder);
  if (name !== id && !name.startsWith(`${id}-`)) {
    return wrong(folder, `holds task ${id}`, `call the folder ${id}-… or change the id`);
  }
  return { value: checked.value, problems: [] };
}

async function readSpec(folder: string): Promise<Part<string>> {
  const path = join(folder, SPEC_NAME);
  const file = await readTextFile(path, { bytesMax: FILE_BYTES_MAX, followLinks: false });
  if (!file.ok) return wrong(path, file.message, "write what the agent is to do there");
  return { value: file.text, problems: [] };
}

function wrong(path: string, problem: string, hint: string | null): Part<never> {
  return { value: null, problems: [{ path, problem, hint }] };
}

function invalid(problems: readonly Problem[]): Refusal {
  return new Refusal("task-invalid", `tasks cannot be read:\n${listProblems(problems)}`, {
    ...(problems[0]?.hint && { hint: problems[0].hint }),
    details: { problems },
  });
}
