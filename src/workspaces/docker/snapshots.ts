import { randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Refusal, type Result } from "../../domain/failure.ts";
import { systemClock, timestamp } from "../../lib/clock.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import type { Snapshot } from "../lasting-workspace.ts";
import { codeOf, asUnsettled, failureWith, workspaceFailure } from "../workspace-failure.ts";
import { isWorkspaceName, NAME_RULE, snapshotId } from "../workspace-name.ts";
import { isLost } from "./engine-asking.ts";
import { containerName, LABELS, snapshotImage } from "./layout.ts";
import { commitContainerOnce } from "./make-once.ts";
import { readRecord, writeRecord, type WorkspaceRecord } from "./record.ts";
import { folderOf, type Shop } from "./shop.ts";

/** With what a fork needs of it. */
export interface StoredSnapshot {
  readonly snapshot: Snapshot;
  readonly variables: Readonly<Record<string, string>>;
}

/**
 * Snapshots are images: all that is known of one stands in its labels, and is there at once or not
 * at all. Who stands on it is counted, never stored.
 */
export async function listSnapshots(shop: Shop): Promise<readonly StoredSnapshot[]> {
  const images = await shop.engine.listImages({ [LABELS.home]: shop.home });
  const found = images.filter((labels) => labels[LABELS.snapshot] !== undefined);
  const records = await listRecords(shop);
  const bases = records.filter(({ state }) => state !== "removing").map((it) => it.standsOn);
  const parents = found.map((labels) => labels[LABELS.parent] ?? "");
  const snapshots = found.map((labels) => {
    const id = labels[LABELS.snapshot] ?? "";
    const [workspace = "", name = ""] = id.split("@");
    const parent = labels[LABELS.parent] ?? "";
    const snapshot: Snapshot = {
      id,
      name,
      workspace,
      parent: parent === "" ? null : parent,
      createdAt: labels[LABELS.createdAt] ?? "",
      live: false,
      references: [...bases, ...parents].filter((other) => other === id).length,
    };
    return { snapshot, variables: decode(labels[LABELS.variables] ?? "") };
  });
  return snapshots.toSorted(
    ({ snapshot: one }, { snapshot: other }) =>
      one.createdAt.localeCompare(other.createdAt) || one.id.localeCompare(other.id),
  );
}

export async function findSnapshot(shop: Shop, id: string): Promise<Result<StoredSnapshot>> {
  const found = (await listSnapshots(shop)).find(({ snapshot }) => snapshot.id === id);
  if (found !== undefined) return { ok: true, value: found };
  return missingSnapshot(id);
}

export function missingSnapshot(id: string): Result<never> {
  return failureWith("workspace-missing", `there is no snapshot ${JSON.stringify(id)}`, {
    hint: "`mycelium workspace snapshot list` shows what there is",
    details: { snapshot: id },
  });
}

/** Freezes a workspace's files under a name, and moves the workspace on to it in the tree. */
export async function takeSnapshot(
  shop: Shop,
  record: WorkspaceRecord,
  name: string,
): Promise<Result<Snapshot>> {
  if (!isWorkspaceName(name)) {
    return workspaceFailure(`${JSON.stringify(name)} cannot name a snapshot`, { hint: NAME_RULE });
  }
  const id = snapshotId(record.id, name);
  const all = await listSnapshots(shop);
  if (all.some(({ snapshot }) => snapshot.id === id)) {
    return failureWith("workspace-exists", `there is a snapshot ${id} already`, {
      hint: "choose another name, or delete it first",
    });
  }
  const parent = record.standsOn;
  const createdAt = timestamp(systemClock);
  const labels = {
    [LABELS.home]: shop.home,
    [LABELS.snapshot]: id,
    [LABELS.mark]: randomUUID(),
    [LABELS.parent]: parent ?? "",
    [LABELS.createdAt]: createdAt,
    [LABELS.variables]: encode(record.variables),
  };
  const container = containerName(shop.home, record.id);
  try {
    await commitContainerOnce(shop.engine, container, snapshotImage(shop.home, id), labels);
  } catch (error) {
    if (!(error instanceof Refusal) || !isLost(error)) throw error;
    return { ok: false, failure: asUnsettled(error.failure) };
  }
  crashPoint("snapshot.copied");
  await writeRecord(folderOf(shop, record.id), { ...record, standsOn: id });
  const { id: workspace } = record;
  return {
    ok: true,
    value: { id, name, workspace, parent, createdAt, live: false, references: 1 },
  };
}

export async function deleteSnapshot(shop: Shop, id: string): Promise<Result<void>> {
  const found = await findSnapshot(shop, id);
  if (!found.ok) return found;
  const { references } = found.value.snapshot;
  if (references > 0) {
    return workspaceFailure(`${references} workspaces or snapshots stand on ${id}`, {
      details: { reason: "in-use", snapshot: id, references },
      hint: "destroy the workspaces and delete the snapshots that stand on it first",
    });
  }
  crashPoint("snapshot.removing");
  await shop.engine.removeImage(snapshotImage(shop.home, id));
  await shop.engine.removeNameless({ [LABELS.home]: shop.home, [LABELS.snapshot]: id });
  return { ok: true, value: undefined };
}

async function listRecords(shop: Shop): Promise<readonly WorkspaceRecord[]> {
  const folder = join(shop.home, "workspaces");
  const ids = await readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  });
  return ids.flatMap((id) => readRecord(folderOf(shop, id)) ?? []);
}

/** The record of a workspace that can be used. */
export function requireRecord(shop: Shop, id: string): WorkspaceRecord {
  const record = readRecord(folderOf(shop, id));
  if (record !== null) return record;
  throw new Refusal("workspace-missing", `there is no workspace ${id} any more`);
}

function encode(variables: Readonly<Record<string, string>>): string {
  return Buffer.from(JSON.stringify(variables)).toString("base64url");
}

function decode(text: string): Readonly<Record<string, string>> {
  if (text === "") return {};
  return JSON.parse(Buffer.from(text, "base64url").toString()) as Record<string, string>;
}
