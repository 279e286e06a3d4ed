import { mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { tryLockFile } from "../../lib/file-lock.ts";
import { CACHE_KEPT_MS, pruneCache, rememberPlaces, touch } from "./prune-cache.ts";

const DAY_MS = 86_400_000;

/** What of a disk tells what it stands on. */
function writeDisk(path: string, below: string): void {
  const header = Buffer.alloc(112);
  header.write("QFI\xfb", 0, "latin1");
  header.writeUInt32BE(3, 4);
  header.writeBigUInt64BE(112n, 8);
  header.writeUInt32BE(Buffer.byteLength(below), 16);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, Buffer.concat([header, Buffer.from(below)]));
}

/** A cache of two homes, of which everything was used last so long ago. */
async function makeCache(ageMs: number) {
  const folder = await temporaryFolder();
  const cacheDir = join(folder.path, "cache");
  const homes = ["a", "b"].map((name) => ({
    workspaces: join(folder.path, name, "vms"),
    snapshots: join(folder.path, name, "snapshots"),
  }));
  const image = (name: string) => join(cacheDir, "images", name, "root.ext4");
  const golden = (name: string) => join(cacheDir, "goldens", name, "disk.qcow2");
  for (const name of ["used", "named", "lonely"]) {
    mkdirSync(dirname(image(name)), { recursive: true });
    writeFileSync(image(name), "ext4");
  }
  writeFileSync(join(cacheDir, "images/default.json"), JSON.stringify({ key: "named" }));
  mkdirSync(join(cacheDir, "images/.building-x"));
  writeDisk(golden("used"), image("used"));
  writeDisk(golden("unused"), image("lonely"));
  for (const places of homes) rememberPlaces(cacheDir, places);
  // In one home a snapshot's layer is between a workspace and the machine that it began as.
  const layer = join(folder.path, "b/snapshots/layers/one.qcow2");
  writeDisk(layer, golden("used"));
  writeDisk(join(folder.path, "b/vms/one/disk.qcow2"), layer);
  const nowMs = Date.now();
  const then = (nowMs - ageMs) / 1000;
  for (const kind of ["images", "goldens"]) {
    for (const name of readdirSync(join(cacheDir, kind))) {
      utimesSync(join(cacheDir, kind, name), then, then);
    }
  }
  const left = () =>
    ["goldens", "images"].flatMap((kind) =>
      readdirSync(join(cacheDir, kind)).filter((name) => !name.includes(".lock")),
    );
  const dispose = () => folder[Symbol.asyncDispose]();
  return { cacheDir, nowMs, left, golden, [Symbol.asyncDispose]: dispose };
}

test("what no disk of any home stands on goes after its time, and nothing else", async () => {
  await using cache = await makeCache(CACHE_KEPT_MS + DAY_MS);
  const { cacheDir, nowMs, left } = cache;
  const gone = ["booted machine unused", "image lonely"];
  const before = left();
  expect(await pruneCache({ cacheDir, nowMs, dryRun: true })).toEqual(gone);
  expect(left()).toEqual(before);
  expect(await pruneCache({ cacheDir, nowMs, dryRun: false })).toEqual(gone);
  expect(left().toSorted()).toEqual(["default.json", "named", "used", "used"]);
  expect(await pruneCache({ cacheDir, nowMs, dryRun: false })).toEqual([]);
});

test("what was used a short while ago stays, with the image below it", async () => {
  await using cache = await makeCache(CACHE_KEPT_MS + DAY_MS);
  const { cacheDir, nowMs, golden, left } = cache;
  expect(touch(dirname(golden("unused")))).toBe(true);
  expect(await pruneCache({ cacheDir, nowMs, dryRun: false })).toEqual([]);
  expect(left()).toContain("lonely");
  expect(touch(dirname(golden("never")))).toBe(false);
});

test("a machine that somebody prepares just now is left alone", async () => {
  await using cache = await makeCache(CACHE_KEPT_MS + DAY_MS);
  const { cacheDir, nowMs, golden, left } = cache;
  using lock = tryLockFile(`${dirname(golden("unused"))}.lock`);
  expect(lock).not.toBeNull();
  await pruneCache({ cacheDir, nowMs, dryRun: false });
  expect(left()).toContain("unused");
});
