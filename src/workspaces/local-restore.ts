import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { endMarkedProcesses } from "../lib/process.ts";
import { lockFile } from "../lib/file-lock.ts";
import { copyParts, PARTS } from "./local-copy.ts";
import { exists, processMarker, type LocalLayout } from "./local-layout.ts";
import { writeRecord, type LocalRecord } from "./local-record.ts";
import { missingSnapshot, readSnapshot, type SnapshotPlaces } from "./local-snapshots.ts";
import { removeFolder } from "./remove-folder.ts";
import { workspaceFailure } from "./workspace-failure.ts";
import { snapshotId } from "./workspace-name.ts";

const REMOVE_TIMEOUT_MS = 300_000;

export interface RestoreRequest {
  readonly places: SnapshotPlaces;
  readonly id: string;
  readonly layout: LocalLayout;
  readonly record: LocalRecord;
  /** Its id, or its name alone. */
  readonly snapshot: string;
}

/**
 * Ends what runs and puts a snapshot's files into the place of what is there. The copy is made
 * first, so that little can fail once the old files go; a workspace whose restorer was killed in
 * between says that it is broken until it is restored again.
 */
export async function restoreLocal(request: RestoreRequest): Promise<Result<void>> {
  const { places, id, layout, record } = request;
  const snapshot = request.snapshot.includes("@")
    ? request.snapshot
    : snapshotId(id, request.snapshot);
  if (!snapshot.startsWith(`${id}@`)) {
    return workspaceFailure(`${snapshot} is not a snapshot of ${id}`, {
      hint: "fork it instead",
      details: { reason: "not-own" },
    });
  }
  const folder = join(places.snapshots, snapshot);
  using lock = exists(folder) ? await lockFile(join(folder, "lock")) : null;
  const found = readSnapshot(places, snapshot);
  if (found?.state !== "ready" || lock === null) return missingSnapshot(snapshot);

  await removeFolder(layout.incoming, REMOVE_TIMEOUT_MS);
  mkdirSync(layout.incoming);
  const copied = await copyParts(folder, layout.incoming);
  if (!copied.ok) {
    await removeFolder(layout.incoming, REMOVE_TIMEOUT_MS);
    return copied;
  }
  crashPoint("restore.staged");
  const { seed, variables } = found;
  const restored = { ...record, seed, variables, standsOn: snapshot };
  writeRecord(layout, { ...restored, state: "restoring" });
  crashPoint("restore.intended");
  await endMarkedProcesses(processMarker(layout));
  for (const part of PARTS) await replacePart(layout, part);
  await removeFolder(layout.incoming, REMOVE_TIMEOUT_MS);
  const state = record.state === "stopped" ? "stopped" : "running";
  writeRecord(layout, { ...restored, state });
  return { ok: true, value: undefined };
}

async function replacePart(layout: LocalLayout, part: string): Promise<void> {
  await removeFolder(join(layout.folder, part), REMOVE_TIMEOUT_MS);
  crashPoint("restore.emptied");
  const incoming = join(layout.incoming, part);
  if (exists(incoming)) renameSync(incoming, join(layout.folder, part));
}
