import type { Result } from "../../domain/failure.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { lockFile } from "../../lib/file-lock.ts";
import { missingSnapshot } from "../local-snapshots.ts";
import { removeFolder } from "../remove-folder.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { snapshotId } from "../workspace-name.ts";
import type { SandboxCgroups } from "./cgroups.ts";
import { ownLayer } from "./layout.ts";
import { readRecord, writeRecord, type SandboxRecord } from "./record.ts";
import { endSandbox, missing, startLocked, type SandboxPlace } from "./runtime.ts";
import { findSnapshotRecord, isMade, makeOwnLayer, settleSnapshot } from "./snapshot-files.ts";

export interface RestoreRequest {
  readonly place: SandboxPlace;
  readonly cgroups: SandboxCgroups;
  /** Its id, or its name alone. */
  readonly snapshot: string;
  readonly timeoutMs: number;
}

/** Its full id. */
export function ownSnapshotId(workspace: string, snapshot: string): string {
  return snapshot.includes("@") ? snapshot : snapshotId(workspace, snapshot);
}

/**
 * Ends what runs and puts the sandbox on a snapshot's layers, with an empty one above. Its record
 * changes in one step, so that a kill leaves it as it was or restored. Its lock is held.
 */
export async function restoreSandbox(request: RestoreRequest): Promise<Result<void>> {
  const { place, cgroups, timeoutMs } = request;
  const { layout, id } = place;
  const wanted = ownSnapshotId(id, request.snapshot);
  if (!wanted.startsWith(`${id}@`)) {
    return workspaceFailure(`${wanted} is not a snapshot of ${id}`, {
      hint: "fork it instead",
      details: { reason: "not-own" },
    });
  }
  const stood = await standOn(place, wanted);
  if (!stood.ok) return stood;
  crashPoint("restore.intended");
  const { before } = stood.value;
  const { upper, work } = ownLayer(layout, before.generation);
  for (const folder of [upper, work]) await removeFolder(folder, timeoutMs);
  if (before.wanted === "stopped") return { ok: true, value: undefined };
  const started = await startLocked(place, cgroups);
  return started.ok ? { ok: true, value: undefined } : started;
}

/** Answers what the sandbox was before. */
async function standOn(
  { home, layout, id }: SandboxPlace,
  wanted: string,
): Promise<Result<{ readonly before: SandboxRecord }>> {
  // Nobody removes the snapshot between this look and the record that stands on it.
  using lock = await lockFile(home.snapshotLock);
  if (lock === null) return workspaceFailure(`${wanted} is being used`);
  const found = findSnapshotRecord(home, wanted);
  if (found === null || !isMade(home, found)) return missingSnapshot(wanted);
  await endSandbox(layout);
  settleSnapshot(home, id);
  const before = readRecord(layout);
  if (before === null) return missing(id);
  const generation = makeOwnLayer(layout);
  crashPoint("restore.staged");
  const { seed, variables, layers } = found;
  writeRecord(layout, { ...before, seed, variables, layers, standsOn: wanted, generation });
  return { ok: true, value: { before } };
}
