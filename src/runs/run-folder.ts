import { basename, dirname, join, resolve } from "node:path";
import { Refusal } from "../domain/failure.ts";

/** Where every run keeps its logs and its snapshot. */
export function runsFolder(home: string): string {
  return join(resolve(home), "runs");
}

/** One run's folder. Refuses an id that would lead anywhere else. */
export function runFolder(home: string, runId: string): string {
  return childOf(runsFolder(home), runId);
}

/** One task's folder in its run's. Refuses an id that would lead anywhere else. */
export function taskFolder(home: string, runId: string, taskId: string): string {
  return childOf(join(runFolder(home, runId), "tasks"), taskId);
}

/** The folder of a local workspace. Refuses an id that would lead anywhere else. */
export function workspaceFolder(home: string, workspaceId: string): string {
  return childOf(join(resolve(home), "workspaces"), workspaceId);
}

function childOf(parent: string, name: string): string {
  const path = join(parent, name);
  if (dirname(path) !== parent || basename(path) !== name || name.includes("\0")) {
    throw new Refusal("usage", `${JSON.stringify(name)} cannot be the name of a folder`, {
      details: { parent },
      hint: "use letters, digits, '-', '_' and '.'",
    });
  }
  return path;
}
