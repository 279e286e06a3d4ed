import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { systemClock, timestamp } from "../../lib/clock.ts";
import { exists, isWorkspaceId } from "../local-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import type { Snapshot } from "../lasting-workspace.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { foldersIn } from "./layers.ts";
import { sandboxAt, type SandboxHome } from "./layout.ts";
import { readRecord, readSnapshot, type SnapshotRecord } from "./record.ts";
import { countOthers, endSandbox, findRunning, lockStart, type SandboxPlace } from "./runtime.ts";
import {
  freeze,
  isMade,
  listSnapshotRecords,
  settleSnapshot,
  snapshotFile,
} from "./snapshot-files.ts";

/**
 * Freezes what a sandbox is, under a name. Costs the same whatever its size. Nothing may be running
 * in it; it goes on by itself with the next command.
 */
export async function snapshotSandbox(
  place: SandboxPlace,
  name: string,
): Promise<Result<Snapshot>> {
  const { home, layout, id: workspace } = place;
  if (!isWorkspaceId(name)) return workspaceFailure(`"${name}" cannot be the name of a snapshot`);
  const id = `${workspace}@${name}`;
  const lock = await lockStart(layout);
  if (lock === null) return workspaceFailure(`${workspace} is being started by somebody else`);
  try {
    settleSnapshot(home, workspace);
    const before = readSnapshot(snapshotFile(home, id));
    if (before !== null && isMade(home, before))
      return workspaceFailure(`there is a snapshot ${id}`);
    const running = findRunning(layout);
    if (running !== null && countOthers(running) > 0) {
      const hint = "wait for its commands, or end them";
      return workspaceFailure(`something is running in ${workspace}`, { hint });
    }
    await endSandbox(layout);
    const record = readRecord(layout);
    if (record === null) return workspaceFailure(`${workspace} is not there any more`);
    const snapshot: SnapshotRecord = {
      version: 1,
      id,
      name,
      workspace,
      parent: record.forkedFrom,
      createdAt: timestamp(systemClock),
      seed: record.seed,
      layers: [`snap-${randomBytes(8).toString("hex")}`, ...record.layers],
    };
    freeze(home, snapshot);
    return { ok: true, value: describe(home, snapshot) };
  } finally {
    lock[Symbol.dispose]();
  }
}

export function listSandboxSnapshots(home: SandboxHome): readonly Snapshot[] {
  const made = listSnapshotRecords(home).filter((snapshot) => isMade(home, snapshot));
  return made.map((snapshot) => describe(home, snapshot));
}

export function findSnapshot(home: SandboxHome, id: string): SnapshotRecord | null {
  const found = listSnapshotRecords(home).find((snapshot) => snapshot.id === id);
  return found !== undefined && isMade(home, found) ? found : null;
}

/** Refused while anything stands on it. */
export async function deleteSandboxSnapshot(
  home: SandboxHome,
  id: string,
  timeoutMs: number,
): Promise<Result<void>> {
  const snapshot = findSnapshot(home, id);
  if (snapshot === null) return workspaceFailure(`there is no snapshot ${id}`);
  const count = references(home, snapshot);
  if (count > 0) return workspaceFailure(`${count} workspaces or snapshots stand on ${id}`);
  const layer = join(home.layers, snapshot.layers[0]);
  await removeFolder(layer, timeoutMs);
  if (!exists(layer)) rmSync(snapshotFile(home, id), { force: true });
  return { ok: true, value: undefined };
}

function describe(home: SandboxHome, snapshot: SnapshotRecord): Snapshot {
  const { id, name, workspace, parent, createdAt } = snapshot;
  return {
    id,
    name,
    workspace,
    parent,
    createdAt,
    live: false,
    references: references(home, snapshot),
  };
}

function references(home: SandboxHome, snapshot: SnapshotRecord): number {
  const snapshots = listSnapshotRecords(home).filter(
    (other) => other.parent === snapshot.id && isMade(home, other),
  );
  return snapshots.length + countStanding(home, snapshot);
}

function countStanding(home: SandboxHome, { id }: SnapshotRecord): number {
  const records = foldersIn(home.workspaces).map((name) => readRecord(sandboxAt(home, name)));
  return records.filter((record) => record?.forkedFrom === id).length;
}
