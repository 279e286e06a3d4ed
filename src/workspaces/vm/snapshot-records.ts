import { readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Result } from "../../domain/failure.ts";
import { isAlive } from "../../lib/process.ts";
import { readJson, writeJson } from "../json-file.ts";
import type { Snapshot } from "../lasting-workspace.ts";
import { exists, isWorkspaceId } from "../local-layout.ts";
import { failureWith } from "../workspace-failure.ts";
import { isWorkspaceName, snapshotId } from "../workspace-name.ts";
import type { VmPlaces } from "./disk-layers.ts";
import type { Golden } from "./golden.ts";
import { characterSchema, readRecord, vmLayout } from "./vm-record.ts";

const recordSchema = characterSchema.extend({
  version: z.literal(1),
  /** `making` before anything else is there, `removing` before anything is taken away. */
  state: z.enum(["making", "ready", "removing"]),
  maker: z.object({ pid: z.int(), identity: z.string().nullable() }),
  name: z.string(),
  workspace: z.string(),
  parent: z.string().nullable(),
  createdAt: z.string(),
  /** Whether the machine ran: then its memory and its devices are in it too. */
  isLive: z.boolean(),
});

export type SnapshotRecord = z.infer<typeof recordSchema>;

export function snapshotFolder({ snapshots }: VmPlaces, id: string): string {
  return join(snapshots, id);
}

/** What a fork of it goes on from; without a memory and a state where it is not live. */
export function frozenIn(folder: string, { shape }: Pick<SnapshotRecord, "shape">): Golden {
  return {
    shape,
    memoryPath: join(folder, "memory"),
    statePath: join(folder, "state"),
    overlayPath: join(folder, "overlay.qcow2"),
  };
}

export function writeSnapshot(places: VmPlaces, record: SnapshotRecord): void {
  const id = snapshotId(record.workspace, record.name);
  writeJson(join(snapshotFolder(places, id), "record.json"), record);
}

/** `null` where there is none, whole or half made. */
export function readSnapshot(places: VmPlaces, id: string): SnapshotRecord | null {
  if (!isSnapshotId(id)) return null;
  return readJson(join(snapshotFolder(places, id), "record.json"), recordSchema);
}

/** Those that are whole, the oldest first. */
export function listVmSnapshots(places: VmPlaces): readonly Snapshot[] {
  const bases = basesOf(places);
  return readAll(places)
    .filter(({ state }) => state === "ready")
    .map((record) => toSnapshot(record, bases))
    .toSorted((a, b) => a.createdAt.localeCompare(b.createdAt) || a.id.localeCompare(b.id));
}

export function describeSnapshot(places: VmPlaces, record: SnapshotRecord): Snapshot {
  return toSnapshot(record, basesOf(places));
}

function toSnapshot(record: SnapshotRecord, bases: readonly string[]): Snapshot {
  const { name, workspace, parent, createdAt, isLive: live } = record;
  const id = snapshotId(workspace, name);
  const references = bases.filter((base) => base === id).length;
  return { id, name, workspace, parent, createdAt, live, references };
}

export function countReferences(places: VmPlaces, id: string): number {
  return basesOf(places).filter((base) => base === id).length;
}

/** What stands on something: counted from the records each time, so that no count can go wrong. */
function basesOf(places: VmPlaces): readonly string[] {
  const ofSnapshots = readAll(places)
    .filter(({ state }) => state !== "removing")
    .map(({ parent }) => parent);
  const ofWorkspaces = namesIn(places.workspaces).map((id) => {
    const layout = vmLayout(places.workspaces, id);
    return layout === null ? null : (readRecord(layout)?.standsOn ?? null);
  });
  return [...ofSnapshots, ...ofWorkspaces].filter((base) => base !== null);
}

function readAll(places: VmPlaces): readonly SnapshotRecord[] {
  return namesIn(places.snapshots).flatMap((id) => readSnapshot(places, id) ?? []);
}

function namesIn(folder: string): readonly string[] {
  return exists(folder) ? readdirSync(folder) : [];
}

export function makerLives({ maker, state }: SnapshotRecord): boolean {
  return state === "making" && maker.identity !== null && isAlive(maker.pid, maker.identity);
}

export function isSnapshotId(id: string): boolean {
  const at = id.indexOf("@");
  return at > 0 && isWorkspaceId(id.slice(0, at)) && isWorkspaceName(id.slice(at + 1));
}

export function missingSnapshot(id: string): Result<never> {
  return failureWith("workspace-missing", `there is no snapshot ${JSON.stringify(id)}`, {
    hint: "`mycelium workspace snapshot list` shows what there is",
  });
}
