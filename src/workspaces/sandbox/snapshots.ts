import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { systemClock, timestamp } from "../../lib/clock.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { lockFile, tryLockFile } from "../../lib/file-lock.ts";
import { runProcess } from "../../lib/process.ts";
import { exists } from "../local-layout.ts";
import { missingSnapshot } from "../local-snapshots.ts";
import { removeFolder } from "../remove-folder.ts";
import type { Snapshot } from "../lasting-workspace.ts";
import { openPortsOf } from "../ports/open-ports.ts";
import { failureWith, workspaceFailure } from "../workspace-failure.ts";
import { isWorkspaceName, NAME_RULE, snapshotId } from "../workspace-name.ts";
import type { SandboxCgroups } from "./cgroups.ts";
import { HOST_PATH } from "./host-path.ts";
import { foldersIn, removeUnusedLayers } from "./layers.ts";
import { ownLayer, sandboxAt, type SandboxHome } from "./layout.ts";
import { hold, membersOf, releaseHeld } from "./members.ts";
import {
  readRecord,
  writeRecord,
  writeSnapshot,
  type RunningRecord,
  type SandboxRecord,
  type SnapshotRecord,
} from "./record.ts";
import { endSandbox, findRunning, startLocked, type SandboxPlace } from "./runtime.ts";
import {
  findSnapshotRecord,
  isMade,
  listSnapshotRecords,
  settleSnapshot,
  snapshotFile,
} from "./snapshot-files.ts";

export interface SnapshotRequest {
  readonly place: SandboxPlace;
  readonly cgroups: SandboxCgroups;
  readonly name: string;
  /** For what is copied, and what is removed. */
  readonly timeoutMs: number;
}

/** So many names of layers stand in a page, which is all that the kernel reads of them. */
const LAYERS_MAX = 100;

/**
 * Freezes what a sandbox is, under a name. Where nothing runs in it, its layer is moved, however much
 * is in it, and a new one begins. Where something does, everything is held while the layer is copied.
 * The sandbox's lock is held.
 */
export async function snapshotSandbox(request: SnapshotRequest): Promise<Result<Snapshot>> {
  const { place, name, timeoutMs } = request;
  const { home, layout, id: workspace } = place;
  if (!isWorkspaceName(name)) {
    return workspaceFailure(`${JSON.stringify(name)} cannot name a snapshot`, { hint: NAME_RULE });
  }
  const id = snapshotId(workspace, name);
  const running = findRunning(layout);
  if (running === null) settleSnapshot(home, workspace);
  else if (exists(layout.held)) await releaseHeld(layout, running);
  const before = findSnapshotRecord(home, id);
  if (before !== null && isMade(home, before)) {
    return failureWith("workspace-exists", `there is a snapshot ${id} already`);
  }
  // Whoever made it half held this lock, and is dead.
  if (before !== null) await removeSnapshot(home, before, timeoutMs);
  const record = readRecord(layout);
  if (record === null) return workspaceFailure(`${workspace} is not there any more`);
  if (record.layers.length >= LAYERS_MAX) {
    return workspaceFailure(`${workspace} stands on ${LAYERS_MAX} layers: no more are possible`, {
      hint: "restore it to an earlier snapshot, or create a workspace and carry the files over",
    });
  }
  mkdirSync(home.snapshots, { recursive: true });
  const hasPorts = openPortsOf(layout.folder).length > 0;
  const isBusy = running !== null && (membersOf(running).length > 0 || hasPorts);
  const snapshot = isBusy
    ? await copy(request, { id, record, running })
    : await freeze(request, { id, record, wasRunning: running !== null });
  return snapshot.ok ? { ok: true, value: describe(home, snapshot.value) } : snapshot;
}

function newSnapshot(
  { place, name }: SnapshotRequest,
  { id, record }: { readonly id: string; readonly record: SandboxRecord },
): SnapshotRecord {
  const { seed, network, limits, variables } = record;
  return {
    version: 1,
    id,
    name,
    workspace: place.id,
    parent: record.standsOn,
    createdAt: timestamp(systemClock),
    seed,
    network,
    limits,
    variables,
    generation: null,
    layers: [`snap-${randomBytes(5).toString("hex")}`, ...record.layers],
  };
}

async function freeze(
  request: SnapshotRequest,
  {
    id,
    record,
    wasRunning,
  }: { readonly id: string; readonly record: SandboxRecord; readonly wasRunning: boolean },
): Promise<Result<SnapshotRecord>> {
  const { place, cgroups } = request;
  const { home, layout } = place;
  const { generation } = record;
  const snapshot = { ...newSnapshot(request, { id, record }), generation };
  await endSandbox(layout);
  writeSnapshot(snapshotFile(home, id), snapshot);
  crashPoint("snapshot.recorded");
  renameSync(ownLayer(layout, generation).upper, join(home.layers, snapshot.layers[0]));
  crashPoint("snapshot.copied");
  settleSnapshot(home, place.id);
  const started = wasRunning ? await startLocked(place, cgroups) : null;
  return started?.ok === false ? started : { ok: true, value: snapshot };
}

async function copy(
  request: SnapshotRequest,
  {
    id,
    record,
    running,
  }: { readonly id: string; readonly record: SandboxRecord; readonly running: RunningRecord },
): Promise<Result<SnapshotRecord>> {
  const { place, timeoutMs } = request;
  const { home, layout } = place;
  const snapshot = newSnapshot(request, { id, record });
  writeSnapshot(snapshotFile(home, id), snapshot);
  crashPoint("snapshot.recorded");
  const layer = snapshot.layers[0];
  const unfinished = unfinishedLayer(home, layer);
  try {
    await hold(layout, running);
    crashPoint("snapshot.held");
    const { upper } = ownLayer(layout, record.generation);
    const copied = await copyLayer(upper, unfinished, timeoutMs);
    if (!copied.ok) {
      await removeSnapshot(home, snapshot, timeoutMs);
      return copied;
    }
  } finally {
    await releaseHeld(layout, running);
  }
  renameSync(unfinished, join(home.layers, layer));
  crashPoint("snapshot.copied");
  writeRecord(layout, { ...record, standsOn: id });
  return { ok: true, value: snapshot };
}

/** With the attributes by which an overlay knows what is hidden and what is gone. */
async function copyLayer(from: string, to: string, timeoutMs: number): Promise<Result<void>> {
  const kept = "--preserve=mode,ownership,timestamps,links,xattr";
  const { ending, stderr } = await runProcess({
    command: ["cp", "-R", "--no-dereference", kept, "--reflink=auto", "--", from, to],
    cwd: "/",
    env: { PATH: HOST_PATH },
    timeoutMs,
    outputBytesMax: 2048,
  });
  if (ending.kind === "exited" && ending.code === 0) return { ok: true, value: undefined };
  return workspaceFailure(`copying the layer failed: ${stderr.bytes.toString().trim()}`);
}

export function listSandboxSnapshots(home: SandboxHome): readonly Snapshot[] {
  const made = listSnapshotRecords(home).filter((snapshot) => isMade(home, snapshot));
  return made
    .map((snapshot) => describe(home, snapshot))
    .toSorted((a, b) => a.createdAt.localeCompare(b.createdAt) || a.id.localeCompare(b.id));
}

/** Refused while anything stands on it. Half-made ones whose maker is dead too. */
export async function deleteSandboxSnapshot(
  home: SandboxHome,
  id: string,
  timeoutMs: number,
): Promise<Result<void>> {
  const snapshot = findSnapshotRecord(home, id);
  if (snapshot === null) return missingSnapshot(id);
  const layout = sandboxAt(home, snapshot.workspace);
  // Whoever is making it holds this.
  using making =
    !isMade(home, snapshot) && exists(layout.folder) ? tryLockFile(layout.lock) : undefined;
  if (making === null) return workspaceFailure(`${id} is being made or removed`);
  if (making !== undefined) {
    const running = findRunning(layout);
    if (running !== null && exists(layout.held)) await releaseHeld(layout, running);
  }
  {
    using lock = await lockFile(home.snapshotLock);
    if (lock === null) return workspaceFailure(`${id} is being used`);
    const count = isMade(home, snapshot) ? references(home, snapshot) : 0;
    if (count > 0) {
      return workspaceFailure(`${count} workspaces or snapshots stand on ${id}`, {
        hint: "destroy the workspaces and delete the snapshots that stand on it first",
        details: { reason: "in-use", references: count },
      });
    }
    const layer = snapshot.layers[0];
    // From here on it is none.
    if (isMade(home, snapshot)) {
      renameSync(join(home.layers, layer), removedLayer(home, layer));
    }
  }
  crashPoint("snapshot.removing");
  await removeSnapshot(home, snapshot, timeoutMs);
  await removeUnusedLayers(home, timeoutMs);
  return { ok: true, value: undefined };
}

/** What is left of one that is not made, or not any more. */
async function removeSnapshot(
  home: SandboxHome,
  { id, layers }: SnapshotRecord,
  timeoutMs: number,
): Promise<void> {
  await removeFolder(unfinishedLayer(home, layers[0]), timeoutMs);
  await removeFolder(removedLayer(home, layers[0]), timeoutMs);
  rmSync(snapshotFile(home, id), { force: true });
}

function unfinishedLayer(home: SandboxHome, layer: string): string {
  return join(home.layers, `.new-${layer}`);
}

function removedLayer(home: SandboxHome, layer: string): string {
  return join(home.layers, `.removed-${layer}`);
}

function describe(home: SandboxHome, snapshot: SnapshotRecord): Snapshot {
  const { id, name, workspace, parent, createdAt } = snapshot;
  const count = references(home, snapshot);
  return { id, name, workspace, parent, createdAt, live: false, references: count };
}

/** Counted from the records each time, so that no count can go wrong. */
function references(home: SandboxHome, { id, workspace, generation }: SnapshotRecord): number {
  const snapshots = listSnapshotRecords(home).filter(
    (other) => other.parent === id && isMade(home, other),
  );
  const standing = foldersIn(home.workspaces).filter((name) => {
    const record = readRecord(sandboxAt(home, name));
    // One whose snapshot was killed half-way does not know yet what it stands on.
    const isFrozen = name === workspace && record?.generation === generation;
    return record?.standsOn === id || isFrozen;
  });
  return snapshots.length + standing.length;
}
