import { readdirSync, type Stats } from "node:fs";
import { join } from "node:path";
import { SUBMODULE_MODE, type Change } from "./changes.ts";
import { statOf } from "./stat-of.ts";

/**
 * What stands in a worktree where a change would write a new file, and belongs to nobody but the
 * user. Ignored files count: git itself would overwrite those without a word.
 */
export function findInTheWay(root: string, changes: readonly Change[]): readonly string[] {
  const leaving = new Set(
    changes.filter(({ status }) => status === "deleted").map(({ path }) => path),
  );
  const look = makeLook(root);
  const found = new Set<string>();
  for (const change of changes) {
    if (change.status !== "added") continue;
    const obstacle = findObstacle(change, leaving, look);
    if (obstacle !== null) found.add(obstacle);
  }
  return [...found];
}

interface Look {
  stat(path: string): Stats | undefined;
  list(path: string): readonly string[];
}

/** Each path is looked at once, however many changes are below it. */
function makeLook(root: string): Look {
  const known = new Map<string, Stats | undefined>();
  const stat = (path: string): Stats | undefined => {
    if (!known.has(path)) known.set(path, statOf(join(root, path)));
    return known.get(path);
  };
  return { stat, list: (path) => readdirSync(join(root, path)).map((name) => `${path}/${name}`) };
}

function findObstacle(change: Change, leaving: ReadonlySet<string>, look: Look): string | null {
  const names = change.path.split("/");
  for (let count = 1; count < names.length; count += 1) {
    const folder = names.slice(0, count).join("/");
    const stat = look.stat(folder);
    if (stat === undefined) return null;
    if (!stat.isDirectory()) return leaving.has(folder) ? null : folder;
  }
  const stat = look.stat(change.path);
  if (stat === undefined) return null;
  if (!stat.isDirectory()) return change.path;
  return change.newMode === SUBMODULE_MODE ? null : findStaying(change.path, leaving, look);
}

/** The first file below a folder that no change takes away. */
function findStaying(folder: string, leaving: ReadonlySet<string>, look: Look): string | null {
  for (const path of look.list(folder)) {
    if (leaving.has(path)) continue;
    if (look.stat(path)?.isDirectory() !== true) return path;
    const staying = findStaying(path, leaving, look);
    if (staying !== null) return staying;
  }
  return null;
}
