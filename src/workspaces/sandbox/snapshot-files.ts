import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { exists, isWorkspaceId } from "../local-layout.ts";
import { codeOf } from "../workspace-failure.ts";
import { isWorkspaceName } from "../workspace-name.ts";
import { ownLayer, sandboxAt, type SandboxHome, type SandboxLayout } from "./layout.ts";
import { giveAway } from "./outside-user.ts";
import { readRecord, readSnapshot, writeRecord, type SnapshotRecord } from "./record.ts";

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

/** Whether its layer is there, all of it. */
export function isMade(home: SandboxHome, snapshot: SnapshotRecord): boolean {
  return exists(join(home.layers, snapshot.layers[0]));
}

/** The snapshot of this id, whole or half made. */
export function findSnapshotRecord(home: SandboxHome, id: string): SnapshotRecord | null {
  return isSnapshotId(id) ? readSnapshot(snapshotFile(home, id)) : null;
}

/** A new and empty layer for a sandbox to write to; answers its generation. */
export function makeOwnLayer(layout: SandboxLayout): string {
  const generation = randomBytes(4).toString("hex");
  const { upper, work } = ownLayer(layout, generation);
  for (const folder of [upper, work]) mkdirSync(folder);
  giveAway([upper]);
  return generation;
}

/** Puts a sandbox whose own layer was frozen on that layer, with a new and empty one above it. */
export function settleSnapshot(home: SandboxHome, id: string): void {
  const layout = sandboxAt(home, id);
  const record = readRecord(layout);
  if (record === null || exists(ownLayer(layout, record.generation).upper)) return;
  const frozen = listSnapshotRecords(home).find(
    (snapshot) =>
      snapshot.workspace === id &&
      snapshot.generation === record.generation &&
      isMade(home, snapshot),
  );
  const layers = frozen?.layers ?? record.layers;
  const standsOn = frozen?.id ?? record.standsOn;
  writeRecord(layout, { ...record, layers, standsOn, generation: makeOwnLayer(layout) });
}

function isSnapshotId(id: string): boolean {
  const at = id.indexOf("@");
  return isWorkspaceId(id.slice(0, at)) && isWorkspaceName(id.slice(at + 1));
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return [];
  }
}
