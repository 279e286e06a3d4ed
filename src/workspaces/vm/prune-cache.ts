import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, realpathSync, statSync, utimesSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { tryLockFile } from "../../lib/file-lock.ts";
import { systemClock } from "../../lib/clock.ts";
import { readJson, writeJson } from "../json-file.ts";
import { exists } from "../local-layout.ts";
import { codeOf } from "../workspace-failure.ts";
import { chainOf, disksIn, type VmPlaces } from "./disk-layers.ts";

/** How long booted machines and images stay that no disk stands on, from their last use. */
export const CACHE_KEPT_MS = 30 * 86_400_000;
/** The same for what a killed builder left. */
const UNFINISHED_KEPT_MS = 86_400_000;

const placesSchema = z.object({ workspaces: z.string(), snapshots: z.string() });
const referenceSchema = z.object({ key: z.string() });

const PRUNED = ".pruned-";

/** Writes down whose disks may stand on the cache: a cache can have several homes. */
export function rememberPlaces(cacheDir: string, places: VmPlaces): void {
  const name = createHash("sha256").update(JSON.stringify(places)).digest("hex").slice(0, 32);
  const path = join(cacheDir, "homes", `${name}.json`);
  if (exists(path)) return;
  mkdirSync(join(cacheDir, "homes"), { recursive: true });
  writeJson(path, places);
}

/** Says that a folder of the cache is in use; `false` where it was taken away just now. */
export function touch(folder: string): boolean {
  const now = systemClock.now() / 1000;
  try {
    utimesSync(folder, now, now);
    return true;
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    return false;
  }
}

export interface PruneRequest {
  readonly cacheDir: string;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Only tells what it would remove. */
  readonly dryRun: boolean;
}

/**
 * Removes booted machines and images that were not used for long and that no disk stands on, of
 * any home that uses the cache, and what killed builders left. Answers what it removed, in words.
 */
export async function pruneCache(request: PruneRequest): Promise<readonly string[]> {
  const [goldens, images] = [join(request.cacheDir, "goldens"), join(request.cacheDir, "images")];
  const unused = findUnused(request, { goldens, images });
  if (!request.dryRun) {
    for (const { folder } of unused) await removeStale(folder, request.nowMs);
    for (const root of [goldens, images]) await removeUnfinished(root, request.nowMs);
  }
  return unused.map(({ what }) => what);
}

interface Unused {
  readonly folder: string;
  readonly what: string;
}

/** Machines first: an image that only those stand on goes with them. */
function findUnused(
  { cacheDir, nowMs }: PruneRequest,
  { goldens, images }: { readonly goldens: string; readonly images: string },
): readonly Unused[] {
  const used = usedBy(homesOf(cacheDir).flatMap((places) => disksIn(places)));
  const all = foldersIn(goldens).map((folder) => ({ folder, disk: join(folder, "disk.qcow2") }));
  const isUnused = ({ folder, disk }: { folder: string; disk: string }): boolean =>
    isOld(folder, nowMs, CACHE_KEPT_MS) && !used.has(withoutLinks(disk));
  const machines = all.filter(isUnused);
  for (const disk of usedBy(all.filter((it) => !machines.includes(it)).map((it) => it.disk))) {
    used.add(disk);
  }
  const named = new Set(
    namesIn(images).map((name) => readJson(join(images, name), referenceSchema)?.key),
  );
  const old = foldersIn(images)
    .filter((folder) => !named.has(folder.slice(images.length + 1)))
    .map((folder) => ({ folder, disk: join(folder, "root.ext4") }))
    .filter(isUnused);
  return [
    ...machines.map(({ folder }) => ({ folder, what: `booted machine ${nameOf(folder)}` })),
    ...old.map(({ folder }) => ({ folder, what: `image ${nameOf(folder)}` })),
  ];
}

function homesOf(cacheDir: string): readonly VmPlaces[] {
  const folder = join(cacheDir, "homes");
  return namesIn(folder).flatMap((name) => readJson(join(folder, name), placesSchema) ?? []);
}

function usedBy(disks: readonly string[]): Set<string> {
  return new Set(disks.flatMap((disk) => chainOf(disk)).map(withoutLinks));
}

function withoutLinks(path: string): string {
  return exists(path) ? realpathSync(path) : path;
}

/** Out of everybody's sight first, so that nobody finds half of it. */
async function removeStale(folder: string, nowMs: number): Promise<void> {
  using lock = tryLockFile(`${folder}.lock`);
  if (lock === null || !isOld(folder, nowMs, CACHE_KEPT_MS)) return;
  const aside = join(folder, "..", `${PRUNED}${nameOf(folder)}`);
  await rename(folder, aside);
  await rm(aside, { recursive: true, force: true });
}

async function removeUnfinished(root: string, nowMs: number): Promise<void> {
  for (const name of namesIn(root)) {
    const path = join(root, name);
    const isBuilt = name.startsWith(".building-") && isOld(path, nowMs, UNFINISHED_KEPT_MS);
    if (isBuilt || name.startsWith(PRUNED)) await rm(path, { recursive: true, force: true });
  }
}

function isOld(path: string, nowMs: number, keptMs: number): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found !== undefined && nowMs - found.mtimeMs >= keptMs;
}

function nameOf(folder: string): string {
  return folder.slice(folder.lastIndexOf("/") + 1);
}

function foldersIn(root: string): readonly string[] {
  return namesIn(root)
    .filter((name) => !name.startsWith("."))
    .map((name) => join(root, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true);
}

function namesIn(folder: string): readonly string[] {
  return exists(folder) ? readdirSync(folder) : [];
}
