import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { systemClock, timestamp } from "../../lib/clock.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { lockFile } from "../../lib/file-lock.ts";
import { endMarkedProcesses, processIdentity } from "../../lib/process.ts";
import { exists } from "../local-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import { codeOf, failureWith, workspaceFailure } from "../workspace-failure.ts";
import { isWorkspaceName, NAME_RULE, snapshotId } from "../workspace-name.ts";
import { removeUnusedLayers, type VmPlaces } from "./disk-layers.ts";
import { freezeRunning, freezeStopped } from "./freeze.ts";
import { copyOverlay, type Golden } from "./golden.ts";
import { machineMarker, type MachineShape } from "./machine.ts";
import {
  countReferences,
  frozenIn,
  isSnapshotId,
  makerLives,
  missingSnapshot,
  readSnapshot,
  snapshotFolder,
  writeSnapshot,
  type SnapshotRecord,
} from "./snapshot-records.ts";
import {
  characterOf,
  writeRecord,
  writeRecordIfRoom,
  type VmLayout,
  type VmRecord,
} from "./vm-record.ts";
import type { VmMachine } from "./vm-machine.ts";

const REMOVE_TIMEOUT_MS = 300_000;

export interface SnapshotSubject {
  readonly places: VmPlaces;
  readonly id: string;
  readonly layout: VmLayout;
  readonly machine: VmMachine;
  readonly record: VmRecord;
}

/** With the workspace's lock. What comes after follows on the snapshot: so does the workspace. */
export async function takeSnapshot(
  subject: SnapshotSubject,
  name: string,
): Promise<Result<SnapshotRecord>> {
  const { places, layout, machine, record } = subject;
  if (!isWorkspaceName(name)) {
    return workspaceFailure(`${JSON.stringify(name)} cannot name a snapshot`, { hint: NAME_RULE });
  }
  const id = snapshotId(subject.id, name);
  const folder = snapshotFolder(places, id);
  const earlier = readSnapshot(places, id);
  if (exists(folder)) {
    if (earlier?.state === "ready" || (earlier !== null && makerLives(earlier))) {
      return failureWith("workspace-exists", `there is a snapshot ${id} already`);
    }
    await removeSnapshotFolder(folder);
  }
  const making = newSnapshotRecord(subject, name);
  const frozen = await freeze(subject, making, folder);
  if (!frozen.ok) {
    const goesOn = making.isLive ? await machine.letGo() : frozen;
    // First what takes up room: the record may need it.
    await removeSnapshotFolder(folder);
    writeRecordIfRoom(layout, { ...record, isHeld: making.isLive && !goesOn.ok });
    await removeUnusedLayers(places);
    return frozen;
  }
  crashPoint("snapshot.copied");
  const ready = { ...making, state: "ready" } as const;
  writeSnapshot(places, ready);
  writeRecord(layout, { ...record, isHeld: false, standsOn: id });
  return { ok: true, value: ready };
}

async function freeze(
  { places, layout, machine, record }: SnapshotSubject,
  making: SnapshotRecord,
  folder: string,
): Promise<Result<void>> {
  try {
    mkdirSync(folder, { recursive: true });
    writeSnapshot(places, making);
    crashPoint("snapshot.recorded");
    writeRecord(layout, { ...record, isHeld: making.isLive });
    const order = { places, layout, machine, folder, frozen: frozenIn(folder, record) };
    return await (making.isLive ? freezeRunning(order) : freezeStopped(order));
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return workspaceFailure(`cannot snapshot ${making.workspace}: ${String(error)}`, {
      cause: error,
    });
  }
}

function newSnapshotRecord({ id, record }: SnapshotSubject, name: string): SnapshotRecord {
  return {
    ...characterOf(record),
    version: 1,
    state: "making",
    maker: { pid: process.pid, identity: processIdentity(process.pid) },
    name,
    workspace: id,
    parent: record.standsOn,
    createdAt: timestamp(systemClock),
    isLive: record.state === "running",
  };
}

async function removeSnapshotFolder(folder: string): Promise<void> {
  await endMarkedProcesses(machineMarker(folder));
  await removeFolder(folder, REMOVE_TIMEOUT_MS);
}

/**
 * Removes it where nothing stands on it; half-made ones whose maker is dead too. `letGo` is called
 * with the workspace that such a maker may have held.
 */
export async function deleteVmSnapshot(
  places: VmPlaces,
  id: string,
  letGo: (workspace: string) => Promise<unknown>,
): Promise<Result<void>> {
  const folder = snapshotFolder(places, id);
  if (!isSnapshotId(id) || !exists(folder)) return missingSnapshot(id);
  {
    using lock = await lockFile(join(folder, "lock"));
    if (lock === null) return workspaceFailure(`${id} is being used`);
    const record = readSnapshot(places, id);
    if (record !== null && makerLives(record)) return workspaceFailure(`${id} is being made`);
    const references = countReferences(places, id);
    if (references > 0) {
      return workspaceFailure(`${references} workspaces or snapshots stand on ${id}`, {
        hint: "destroy the workspaces and delete the snapshots that stand on it first",
        details: { reason: "in-use", references },
      });
    }
    if (record?.state === "making") await letGo(record.workspace);
    if (record !== null) writeSnapshot(places, { ...record, state: "removing" });
  }
  crashPoint("snapshot.removing");
  await removeSnapshotFolder(folder);
  await removeUnusedLayers(places);
  return { ok: true, value: undefined };
}

/** A snapshot that is whole, and that nobody deletes while `act` goes on. */
export async function withSnapshot<T>(
  places: VmPlaces,
  id: string,
  act: (record: SnapshotRecord, frozen: Golden) => Promise<Result<T>>,
): Promise<Result<T>> {
  const folder = snapshotFolder(places, id);
  if (!isSnapshotId(id) || !exists(folder)) return missingSnapshot(id);
  using lock = await lockFile(join(folder, "lock"));
  const record = readSnapshot(places, id);
  if (lock === null || record?.state !== "ready") return missingSnapshot(id);
  return await act(record, frozenIn(folder, record));
}

/**
 * With the workspace's lock. Ends what runs; one whose restorer was killed in between says that it
 * is broken until it is restored again.
 */
export async function restoreSnapshot(
  subject: SnapshotSubject,
  snapshot: string,
  resume: (record: VmRecord, from: { frozen: Golden; isLive: boolean }) => Promise<Result<unknown>>,
): Promise<Result<void>> {
  const { places, id, layout, machine, record } = subject;
  const wanted = snapshot.includes("@") ? snapshot : snapshotId(id, snapshot);
  if (!wanted.startsWith(`${id}@`)) {
    return workspaceFailure(`${wanted} is not a snapshot of ${id}`, {
      hint: "fork it instead",
      details: { reason: "not-own" },
    });
  }
  return withSnapshot(places, wanted, async (found, frozen) => {
    crashPoint("restore.staged");
    const state = record.state === "stopped" ? "stopped" : "running";
    const character = characterOf(found);
    const shape = notWidened(record.shape, character.shape);
    const restored = { ...record, ...character, shape, standsOn: wanted, isHeld: false };
    writeRecord(layout, { ...restored, state: "restoring" });
    crashPoint("restore.intended");
    await machine.kill();
    crashPoint("restore.emptied");
    machine.removeStrayDisks();
    const done =
      state === "running"
        ? await resume(restored, { frozen, isLive: found.isLive })
        : await copyOverlay(frozen, layout.disk);
    if (!done.ok) return done;
    writeRecord(layout, { ...restored, state });
    await removeUnusedLayers(places);
    return { ok: true, value: undefined };
  });
}

/**
 * A machine goes on with the card that it was frozen with, which leads nowhere where the workspace has
 * lost its network since.
 */
function notWidened(now: MachineShape, frozen: MachineShape): MachineShape {
  const isCut = now.network !== "allow" && frozen.network === "allow";
  return isCut ? { ...frozen, network: "cut" } : frozen;
}
