import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { exists } from "../local-layout.ts";
import { codeOf } from "../workspace-failure.ts";
import { sandboxAt, type SandboxHome } from "./layout.ts";
import { giveAway } from "./outside-user.ts";
import {
  readRecord,
  readSnapshot,
  writeRecord,
  writeSnapshot,
  type SnapshotRecord,
} from "./record.ts";

export function snapshotFile(home: SandboxHome, id: string): string {
  return join(home.snapshots, `${id}.json`);
}

/** Those too that somebody intended and did not live to make. */
export function listSnapshotRecords(home: SandboxHome): readonly SnapshotRecord[] {
  return namesIn(home.snapshots).flatMap((name) => {
    if (!name.endsWith(".json")) return [];
    return readSnapshot(join(home.snapshots, name)) ?? [];
  });
}

/** Whether its layer was frozen. */
export function isMade(home: SandboxHome, snapshot: SnapshotRecord): boolean {
  return exists(join(home.layers, snapshot.layers[0]));
}

/**
 * Freezes the upper layer of a sandbox that does not run: its folder is moved, however much is in
 * it. Recorded first; `settleSnapshot` goes on where this process dies on the way.
 */
export function freeze(home: SandboxHome, snapshot: SnapshotRecord): void {
  mkdirSync(home.snapshots, { recursive: true });
  writeSnapshot(snapshotFile(home, snapshot.id), snapshot);
  const { upper } = sandboxAt(home, snapshot.workspace);
  renameSync(upper, join(home.layers, snapshot.layers[0]));
  settleSnapshot(home, snapshot.workspace);
}

/** Puts a sandbox whose upper layer was frozen on that layer, with a new and empty one above it. */
export function settleSnapshot(home: SandboxHome, id: string): void {
  const layout = sandboxAt(home, id);
  if (exists(layout.upper)) return;
  const record = readRecord(layout);
  if (record === null) return;
  const frozen = listSnapshotRecords(home).find(
    (snapshot) =>
      snapshot.workspace === id &&
      snapshot.layers.slice(1).join() === record.layers.join() &&
      isMade(home, snapshot),
  );
  if (frozen !== undefined) {
    writeRecord(layout, { ...record, layers: frozen.layers, forkedFrom: frozen.id });
  }
  mkdirSync(layout.upper);
  giveAway([layout.upper]);
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return [];
  }
}
