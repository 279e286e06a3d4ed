import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Result } from "../domain/failure.ts";
import { systemClock, timestamp } from "../lib/clock.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { isAlive, processIdentity, signalMarkedProcesses } from "../lib/process.ts";
import { lockFile } from "../lib/file-lock.ts";
import { readJson, writeJson } from "./json-file.ts";
import type { Snapshot } from "./lasting-workspace.ts";
import { copyParts } from "./local-copy.ts";
import { exists, layoutOf, processMarker, type LocalLayout } from "./local-layout.ts";
import { readRecord, seedSchema } from "./local-record.ts";
import type { LocalRecord } from "./local-record.ts";
import { removeFolder } from "./remove-folder.ts";
import { failureWith, workspaceFailure } from "./workspace-failure.ts";
import { isWorkspaceName, NAME_RULE, snapshotId } from "./workspace-name.ts";

const REMOVE_TIMEOUT_MS = 300_000;

const recordSchema = z.object({
  version: z.literal(1),
  /** `making` before anything else is there, `removing` before anything is taken away. */
  state: z.enum(["making", "ready", "removing"]),
  maker: z.object({ pid: z.int(), identity: z.string().nullable() }),
  name: z.string(),
  workspace: z.string(),
  parent: z.string().nullable(),
  createdAt: z.string(),
  seed: seedSchema.nullable(),
  variables: z.record(z.string(), z.string()),
});

export type SnapshotRecord = z.infer<typeof recordSchema>;

/** Where snapshots are, and the workspaces that may stand on them. */
export interface SnapshotPlaces {
  readonly snapshots: string;
  readonly workspaces: string;
}

export interface SnapshotRequest {
  readonly places: SnapshotPlaces;
  readonly id: string;
  readonly layout: LocalLayout;
  readonly record: LocalRecord;
  readonly name: string;
}

/**
 * Copies a workspace as it is. Its processes are held meanwhile, so that no file is half written in
 * the copy; they are not in it.
 */
export async function takeSnapshot(request: SnapshotRequest): Promise<Result<SnapshotRecord>> {
  const { places, layout, name } = request;
  if (!isWorkspaceName(name)) {
    return workspaceFailure(`${JSON.stringify(name)} cannot name a snapshot`, { hint: NAME_RULE });
  }
  const id = snapshotId(request.id, name);
  const folder = join(places.snapshots, id);
  const earlier = readSnapshot(places, id);
  if (exists(folder)) {
    if (earlier?.state === "ready" || (earlier !== null && makerLives(earlier))) {
      return failureWith("workspace-exists", `there is a snapshot ${id} already`);
    }
    await removeHalfMade(request, folder);
  }
  mkdirSync(folder, { recursive: true });
  const record = newSnapshotRecord(request);
  writeJson(join(folder, "record.json"), record);
  crashPoint("snapshot.recorded");
  const copied = await whileHeld(layout, () => copyParts(layout.folder, folder));
  if (!copied.ok) {
    await removeFolder(folder, REMOVE_TIMEOUT_MS);
    return copied;
  }
  crashPoint("snapshot.copied");
  const ready = { ...record, state: "ready" } as const;
  writeJson(join(folder, "record.json"), ready);
  return { ok: true, value: ready };
}

function newSnapshotRecord({ id, record, name }: SnapshotRequest): SnapshotRecord {
  return {
    version: 1,
    state: "making",
    maker: { pid: process.pid, identity: processIdentity(process.pid) },
    name,
    workspace: id,
    parent: record.standsOn,
    createdAt: timestamp(systemClock),
    seed: record.seed,
    variables: record.variables,
  };
}

/** Who made it may have been killed while the workspace's processes were held. */
async function removeHalfMade({ layout }: SnapshotRequest, folder: string): Promise<void> {
  signalMarkedProcesses(processMarker(layout), "SIGCONT");
  await removeFolder(folder, REMOVE_TIMEOUT_MS);
}

async function whileHeld<T>(layout: LocalLayout, act: () => Promise<T>): Promise<T> {
  const marker = processMarker(layout);
  try {
    signalMarkedProcesses(marker, "SIGSTOP");
    crashPoint("snapshot.held");
    return await act();
  } finally {
    signalMarkedProcesses(marker, "SIGCONT");
  }
}

/** `null` where there is none, whole or half made. */
export function readSnapshot({ snapshots }: SnapshotPlaces, id: string): SnapshotRecord | null {
  if (!isSnapshotId(id)) return null;
  return readJson(join(snapshots, id, "record.json"), recordSchema);
}

/** Those that are whole, the oldest first. */
export function listLocalSnapshots(places: SnapshotPlaces): readonly Snapshot[] {
  const records = readAll(places);
  const bases = basesOf(places, records);
  return records
    .filter(({ state }) => state === "ready")
    .map((record) => toSnapshot(record, bases))
    .toSorted((a, b) => a.createdAt.localeCompare(b.createdAt) || a.id.localeCompare(b.id));
}

export function describeSnapshot(places: SnapshotPlaces, record: SnapshotRecord): Snapshot {
  return toSnapshot(record, basesOf(places, readAll(places)));
}

function toSnapshot(record: SnapshotRecord, bases: readonly string[]): Snapshot {
  const { name, workspace, parent, createdAt } = record;
  const id = snapshotId(workspace, name);
  const references = bases.filter((base) => base === id).length;
  return { id, name, workspace, parent, createdAt, live: false, references };
}

/** Removes it where nothing stands on it; half-made ones whose maker is dead too. */
export async function deleteLocalSnapshot(
  places: SnapshotPlaces,
  id: string,
): Promise<Result<void>> {
  const folder = join(places.snapshots, id);
  if (!isSnapshotId(id) || !exists(folder)) return missingSnapshot(id);
  {
    using lock = await lockFile(join(folder, "lock"));
    if (lock === null) return workspaceFailure(`${id} is being used`);
    const record = readSnapshot(places, id);
    if (record?.state === "making" && makerLives(record)) {
      return workspaceFailure(`${id} is being made`);
    }
    const references = basesOf(places, readAll(places)).filter((base) => base === id).length;
    if (references > 0) {
      return workspaceFailure(`${references} workspaces or snapshots stand on ${id}`, {
        hint: "destroy the workspaces and delete the snapshots that stand on it first",
        details: { reason: "in-use", references },
      });
    }
    if (record?.state === "making") {
      const layout = layoutOf(places.workspaces, record.workspace);
      signalMarkedProcesses(processMarker(layout), "SIGCONT");
    }
    if (record !== null) writeJson(join(folder, "record.json"), { ...record, state: "removing" });
  }
  crashPoint("snapshot.removing");
  await removeFolder(folder, REMOVE_TIMEOUT_MS);
  return { ok: true, value: undefined };
}

export function missingSnapshot(id: string): Result<never> {
  return failureWith("workspace-missing", `there is no snapshot ${JSON.stringify(id)}`, {
    hint: "`mycelium workspace snapshot list` shows what there is",
  });
}

/** What stands on something: counted from the records each time, so that no count can go wrong. */
function basesOf(places: SnapshotPlaces, records: readonly SnapshotRecord[]): readonly string[] {
  const ofSnapshots = records.filter(({ state }) => state !== "removing").map((it) => it.parent);
  const ofWorkspaces = namesIn(places.workspaces).map(
    (id) => readRecord(layoutOf(places.workspaces, id))?.standsOn ?? null,
  );
  return [...ofSnapshots, ...ofWorkspaces].filter((base) => base !== null);
}

function readAll(places: SnapshotPlaces): readonly SnapshotRecord[] {
  return namesIn(places.snapshots).flatMap((id) => readSnapshot(places, id) ?? []);
}

function namesIn(folder: string): readonly string[] {
  return exists(folder) ? readdirSync(folder) : [];
}

function makerLives({ maker, state }: SnapshotRecord): boolean {
  return state === "making" && maker.identity !== null && isAlive(maker.pid, maker.identity);
}

function isSnapshotId(id: string): boolean {
  const at = id.indexOf("@");
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(id.slice(0, at)) && isWorkspaceName(id.slice(at + 1));
}
