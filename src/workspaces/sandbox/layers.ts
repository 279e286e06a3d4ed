import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../lib/clock.ts";
import { tryLockFile } from "../../lib/file-lock.ts";
import { exists } from "../local-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import { codeOf } from "../workspace-failure.ts";
import { sandboxAt, type SandboxHome } from "./layout.ts";
import { readRecord } from "./record.ts";
import { listSnapshotRecords } from "./snapshot-files.ts";

/** Checkouts that nobody stands on and that are kept, because the next one may be of the same commit. */
const SPARE_LAYERS = 2;
/** Between choosing a layer and recording it, nobody seems to stand on it. */
const USED_LATELY_MS = 60_000;
/** What is being made is no layer yet; what is as old as this was left behind. */
const ABANDONED_MS = 3_600_000;

/** Removes checkouts that no sandbox stands on. Does nothing where somebody else is at it. */
export async function removeUnusedLayers(home: SandboxHome, timeoutMs: number): Promise<void> {
  if (!exists(home.layers)) return;
  const lock = tryLockFile(home.lock);
  if (lock === null) return;
  try {
    for (const name of unusedLayers(home)) await removeFolder(join(home.layers, name), timeoutMs);
  } finally {
    lock[Symbol.dispose]();
  }
}

function unusedLayers(home: SandboxHome): readonly string[] {
  const used = usedLayers(home);
  const layers = foldersIn(home.layers).flatMap((name) => {
    const ageMs = systemClock.now() - modifiedMs(join(home.layers, name));
    return [{ name, ageMs }];
  });
  const abandoned = layers.filter(
    ({ name, ageMs }) => name.startsWith(".") && ageMs > ABANDONED_MS,
  );
  const spare = layers
    .filter(({ name }) => name.startsWith("base-") && !used.has(name))
    .toSorted((one, other) => one.ageMs - other.ageMs)
    .slice(SPARE_LAYERS)
    .filter(({ ageMs }) => ageMs > USED_LATELY_MS);
  return [...abandoned, ...spare].map(({ name }) => name);
}

/** Whatever somebody says it stands on, half-made or not. */
function usedLayers(home: SandboxHome): ReadonlySet<string> {
  const records = foldersIn(home.workspaces).map((id) => readRecord(sandboxAt(home, id)));
  const all = [...records, ...listSnapshotRecords(home)];
  return new Set(all.flatMap((record): readonly string[] => record?.layers ?? []));
}

/** Names of folders; none where the folder itself is missing. */
export function foldersIn(path: string): readonly string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? entry.name : []));
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return [];
  }
}

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? systemClock.now();
}
