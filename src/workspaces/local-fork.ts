import { join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { systemClock, timestamp } from "../lib/clock.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { lockFile } from "../lib/file-lock.ts";
import { copyParts } from "./local-copy.ts";
import { exists, ID_RULE, isWorkspaceId, makeFolders, type LocalLayout } from "./local-layout.ts";
import { newRecord, writeRecord, type LocalRecord } from "./local-record.ts";
import type { SeedRecord } from "./local-record.ts";
import { missingSnapshot, readSnapshot, type SnapshotPlaces } from "./local-snapshots.ts";
import { removeFolder } from "./remove-folder.ts";
import { workspaceFailure } from "./workspace-failure.ts";

const REMOVE_TIMEOUT_MS = 300_000;

export interface LocalForkRequest {
  readonly places: SnapshotPlaces;
  readonly snapshot: string;
  readonly id: string;
}

export interface LocalFork {
  readonly layout: LocalLayout;
  readonly seed: SeedRecord | null;
}

/** How a fork's place is taken; a failure where somebody has it. */
export type Claim = () => Promise<Result<LocalLayout>>;

/** A new workspace with the files and variables of a snapshot. */
export async function forkLocal(
  request: LocalForkRequest,
  claim: Claim,
): Promise<Result<LocalFork>> {
  const { id, places, snapshot } = request;
  if (!isWorkspaceId(id)) {
    return workspaceFailure(`"${id}" cannot be the id of a workspace`, { hint: ID_RULE });
  }
  const begun = await begin(request, claim);
  if (!begun.ok) return begun;
  const { layout, record } = begun.value;
  crashPoint("fork.recorded");
  const copied = await copyParts(join(places.snapshots, snapshot), layout.folder);
  if (!copied.ok) {
    await removeFolder(layout.folder, REMOVE_TIMEOUT_MS);
    return copied;
  }
  crashPoint("fork.copied");
  makeFolders(layout);
  writeRecord(layout, { ...record, state: "running" });
  return { ok: true, value: { layout, seed: record.seed } };
}

/** From here on the snapshot is referenced, so that nobody deletes it while it is copied. */
async function begin(
  { places, snapshot }: LocalForkRequest,
  claim: Claim,
): Promise<Result<{ readonly layout: LocalLayout; readonly record: LocalRecord }>> {
  const folder = join(places.snapshots, snapshot);
  const found = readSnapshot(places, snapshot);
  using lock = found !== null && exists(folder) ? await lockFile(join(folder, "lock")) : null;
  if (lock === null || readSnapshot(places, snapshot)?.state !== "ready" || found === null) {
    return missingSnapshot(snapshot);
  }
  const claimed = await claim();
  if (!claimed.ok) return claimed;
  const record = newRecord({
    seed: found.seed,
    createdAt: timestamp(systemClock),
    forkedFrom: snapshot,
    standsOn: snapshot,
    variables: found.variables,
  });
  writeRecord(claimed.value, record);
  return { ok: true, value: { layout: claimed.value, record } };
}
