import { nearestName } from "../domain/nearest.ts";
import { REPOSITORY_LOCK } from "../domain/locks.ts";
import type { Problem } from "../domain/problem.ts";
import { taskFolderName, type Manifest } from "../domain/task.ts";
import { findGlobProblem } from "../lib/globs.ts";
import { findCycles } from "./find-cycles.ts";

/** A task, and what to call it in messages: its folder, or its place in the plan. */
export interface CheckedTask {
  readonly path: string;
  readonly manifest: Manifest;
}

/** Names that tasks may use. */
export interface KnownNames {
  readonly resources: readonly { readonly name: string }[];
}

/** Everything that is wrong with tasks taken together. Pure; every problem names its task. */
export function checkTasks(tasks: readonly CheckedTask[], known: KnownNames): readonly Problem[] {
  const ids = new Set(tasks.map(({ manifest }) => manifest.id));
  return [
    ...findDuplicates(tasks),
    ...tasks.flatMap((task) => checkDependencies(task, ids)),
    ...describeCycles(tasks),
    ...tasks.flatMap((task) => checkLocks(task, known)),
    ...tasks.flatMap(checkGlobs),
    ...tasks.flatMap(refuseStrictTdd),
  ];
}

function findDuplicates(tasks: readonly CheckedTask[]): readonly Problem[] {
  const problems: Problem[] = [];
  const byId = new Map<string, CheckedTask>();
  const byFolder = new Map<string, CheckedTask>();
  for (const task of tasks) {
    const { id } = task.manifest;
    // Without regard to case: ids become folders and refs, which some file systems do not tell apart.
    const folder = taskFolderName(task.manifest).toLowerCase();
    const same = byId.get(id.toLowerCase());
    const beside = byFolder.get(folder);
    if (same !== undefined) {
      const problem = `has the id ${id}, as ${same.path} has`;
      problems.push({ path: task.path, problem, hint: "give each task an id of its own" });
    } else if (beside !== undefined) {
      const problem = `would share the folder ${folder} with ${beside.path}`;
      problems.push({ path: task.path, problem, hint: "change the name or the id of one of them" });
    }
    byId.set(id.toLowerCase(), task);
    byFolder.set(folder, task);
  }
  return problems;
}

function checkDependencies(task: CheckedTask, ids: ReadonlySet<string>): readonly Problem[] {
  return task.manifest.dependencies.flatMap((dependency): readonly Problem[] => {
    if (dependency === task.manifest.id) {
      return [{ path: task.path, problem: "depends on itself", hint: "remove that dependency" }];
    }
    if (ids.has(dependency)) return [];
    const hint = suggest(dependency, [...ids], "tasks");
    return [{ path: task.path, problem: `depends on ${dependency}, which is no task`, hint }];
  });
}

function describeCycles(tasks: readonly CheckedTask[]): readonly Problem[] {
  const paths = new Map(tasks.map(({ path, manifest }) => [manifest.id, path]));
  const cycles = findCycles(
    tasks.map(({ manifest: { id, dependencies } }) => ({
      id,
      dependencies: dependencies.filter((dependency) => dependency !== id),
    })),
  );
  return cycles.map((cycle) => ({
    path: paths.get(cycle[0] ?? "") ?? "tasks",
    problem: `is part of a cycle: ${[...cycle, cycle[0]].join(" needs ")}`,
    hint: "remove one of these dependencies",
  }));
}

function checkLocks(task: CheckedTask, { resources }: KnownNames): readonly Problem[] {
  const names = resources.map(({ name }) => name);
  const { reads, writes } = task.manifest.locks;
  return [...new Set([...reads, ...writes])].flatMap((lock): readonly Problem[] => {
    if (isKnownLock(lock, names)) return [];
    const hint = suggest(lock, [REPOSITORY_LOCK, ...names], "locks");
    return [{ path: task.path, problem: `locks ${lock}, which is no resource`, hint }];
  });
}

/** The whole repository, a resource, a part of one, or what several of them are parts of. */
function isKnownLock(lock: string, resources: readonly string[]): boolean {
  if (lock === REPOSITORY_LOCK) return true;
  if (lock.split("/").includes("")) return false;
  return resources.some((name) => {
    return lock === name || lock.startsWith(`${name}/`) || name.startsWith(`${lock}/`);
  });
}

function checkGlobs({ path, manifest }: CheckedTask): readonly Problem[] {
  const { files, affected_tests, test_paths } = manifest;
  const globs = [...files.reads, ...files.writes, ...affected_tests, ...test_paths];
  return [...new Set(globs)].flatMap((glob): readonly Problem[] => {
    const found = findGlobProblem(glob);
    if (found === null) return [];
    return [
      { path, problem: `the glob ${JSON.stringify(glob.slice(0, 100))} ${found}`, hint: null },
    ];
  });
}

function refuseStrictTdd({ path, manifest }: CheckedTask): readonly Problem[] {
  if (manifest.tdd_mode === "off") return [];
  const problem = "has tdd_mode: strict, which is not in this version";
  return [{ path, problem, hint: "use tdd_mode: off" }];
}

/** Every unknown name is compared with so many known ones at most. */
const COMPARED_MAX = 500;

function suggest(name: string, known: readonly string[], what: string): string {
  const nearest = nearestName(name, known.slice(0, COMPARED_MAX));
  if (nearest !== null) return `did you mean ${nearest}?`;
  return `known ${what}: ${known.slice(0, 20).join(", ")}${known.length > 20 ? ", …" : ""}`;
}
