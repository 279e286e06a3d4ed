import { randomUUID } from "node:crypto";
import { closeSync, linkSync, mkdirSync, openSync, readdirSync, readSync, rmSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { lockFile } from "../../lib/file-lock.ts";
import { exists } from "../local-layout.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import { runTool } from "./tool.ts";

/** Where snapshots and their layers are, and the workspaces that may stand on them. */
export interface VmPlaces {
  readonly workspaces: string;
  readonly snapshots: string;
}

/**
 * Frozen disks that several machines stand on. None is ever written again; which of them are needed
 * is read from the disks themselves, so that no count can go wrong.
 */
const LAYERS = "layers";
const TOOL_TIMEOUT_MS = 30_000;
const CHAIN_MAX = 1_000;
const PATH_BYTES_MAX = 4_096;

export interface FrozenDisk {
  /** The layer that the disk is now. */
  readonly layer: string;
  /** An empty disk on it, for the workspace to go on with; beside the workspace's own. */
  readonly next: string;
}

/**
 * Makes a layer of a workspace's disk, which nobody may write meanwhile or after: the workspace goes
 * on with `next`. `overlay` becomes another empty disk on the layer, for forks to copy.
 */
export async function freezeDisk(
  places: VmPlaces,
  order: { readonly disk: string; readonly diskMb: number; readonly overlay: string },
): Promise<Result<FrozenDisk>> {
  using lock = await lockLayers(places);
  if (lock === null) return workspaceFailure("the layers of disks are being used for too long");
  const layer = join(places.snapshots, LAYERS, `${randomUUID()}.qcow2`);
  const next = join(dirname(order.disk), `disk.${randomUUID()}.qcow2`);
  try {
    linkSync(order.disk, layer);
    const made = await makeDiskOn(layer, { target: next, diskMb: order.diskMb });
    if (!made.ok) return made;
    await copyFile(next, order.overlay);
    return { ok: true, value: { layer, next } };
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return workspaceFailure(`cannot freeze a disk: ${String(error)}`, { cause: error });
  }
}

/** An empty disk; on a layer that nobody needs to read for that, or on nothing. */
export async function makeDiskOn(
  layer: string | null,
  { target, diskMb }: { readonly target: string; readonly diskMb: number },
): Promise<Result<void>> {
  const below = layer === null ? [] : ["-u", "-b", layer, "-F", "qcow2"];
  const made = await runTool({
    command: ["qemu-img", "create", "-q", "-f", "qcow2", ...below, target, `${diskMb}M`],
    timeoutMs: TOOL_TIMEOUT_MS,
  });
  return made.ok ? { ok: true, value: undefined } : made;
}

/** Removes layers that no disk stands on. Where somebody freezes one, the next does it. */
export async function removeUnusedLayers(places: VmPlaces): Promise<void> {
  const folder = join(places.snapshots, LAYERS);
  if (!exists(folder)) return;
  using lock = await lockLayers(places);
  if (lock === null) return;
  const used = new Set(disksIn(places).flatMap((disk) => chainOf(disk)));
  for (const name of readdirSync(folder)) {
    const layer = join(folder, name);
    if (!used.has(layer)) rmSync(layer, { force: true });
  }
}

async function lockLayers({ snapshots }: VmPlaces): ReturnType<typeof lockFile> {
  mkdirSync(join(snapshots, LAYERS), { recursive: true });
  return lockFile(join(snapshots, ".layers.lock"));
}

/** Every disk that may stand on a layer: of workspaces and of snapshots, half-made ones too. */
export function disksIn({ workspaces, snapshots }: VmPlaces): readonly string[] {
  return [workspaces, snapshots].flatMap((root) =>
    namesIn(root).flatMap((id) =>
      basename(id) === LAYERS
        ? []
        : namesIn(join(root, id))
            .filter((name) => name.endsWith(".qcow2"))
            .map((name) => join(root, id, name)),
    ),
  );
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error))) return [];
    throw error;
  }
}

/** What a disk stands on, the nearest first. */
export function chainOf(disk: string): readonly string[] {
  const chain: string[] = [];
  for (let at = backingOf(disk); at !== null && chain.length < CHAIN_MAX; at = backingOf(at)) {
    chain.push(at);
  }
  return chain;
}

/** As a qcow2 file's own header tells; `null` where it stands on nothing, or is no such file. */
function backingOf(disk: string): string | null {
  const header = readAt(disk, 0, 20);
  if (header === null || header.length < 20 || header.toString("latin1", 0, 4) !== "QFI\xfb") {
    return null;
  }
  const [at, length] = [Number(header.readBigUInt64BE(8)), header.readUInt32BE(16)];
  if (at === 0 || length > PATH_BYTES_MAX) return null;
  return readAt(disk, at, length)?.toString() ?? null;
}

function readAt(path: string, at: number, length: number): Buffer | null {
  try {
    const file = openSync(path, "r");
    try {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, at));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (["ENOENT", "EISDIR"].includes(codeOf(error))) return null;
    throw error;
  }
}
