import { createHash } from "node:crypto";
import { lstat, readdir, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { mapLimited } from "../lib/map-limited.ts";
import { folderInside, readingConfined, Refused, writingConfined } from "./confined-files.ts";
import type { Confinement } from "./confined-files.ts";
import type { FileEntry, Transfer } from "./lasting-workspace.ts";
import { DOWNLOAD_BYTES_MAX, openHostFile, replaceHostFile } from "./host-file.ts";
import { codeOf, workspaceFailure } from "./workspace-failure.ts";

const PIECE_BYTES = 1024 * 1024;
const ENTRIES_MAX = 100_000;
const STATS_AT_ONCE = 32;

/** Copies a file of the host into a workspace, in pieces. */
export async function uploadInto(
  confinement: Confinement,
  paths: { readonly hostPath: string; readonly path: string },
): Promise<Result<Transfer>> {
  const source = await openHostFile(paths.hostPath);
  if (!source.ok) return source;
  await using file = source.value;
  return await writingConfined(confinement, paths.path, (target) =>
    copyInPieces(file, target, Infinity),
  );
}

/** Copies a file of a workspace out, in pieces, and refuses one beyond `DOWNLOAD_BYTES_MAX`. */
export async function downloadFrom(
  confinement: Confinement,
  paths: { readonly path: string; readonly hostPath: string },
): Promise<Result<Transfer>> {
  return replaceHostFile(paths.hostPath, (file) =>
    readingConfined(confinement, paths.path, (source) =>
      copyInPieces(source, file, DOWNLOAD_BYTES_MAX),
    ),
  );
}

/** One level of a folder, sorted by name. */
export async function listConfined(
  confinement: Confinement,
  path: string,
): Promise<Result<readonly FileEntry[]>> {
  const folder = await folderInside(confinement, path);
  if (!folder.ok) return folder;
  try {
    const names = (await readdir(folder.value)).toSorted();
    if (names.length > ENTRIES_MAX) {
      const details = { path, reason: "too-large" };
      return workspaceFailure(`${path} holds more than ${ENTRIES_MAX} entries`, { details });
    }
    const entries = await mapLimited(names, STATS_AT_ONCE, (name) => entryOf(folder.value, name));
    return { ok: true, value: entries.filter((entry) => entry !== null) };
  } catch (error) {
    const code = codeOf(error);
    if (code === "") throw error;
    const reason = code === "ENOTDIR" ? "not-a-folder" : code;
    return workspaceFailure(`${path}: ${String(error)}`, { details: { path, reason } });
  }
}

/** `null` for what went away meanwhile. */
async function entryOf(folder: string, name: string): Promise<FileEntry | null> {
  try {
    const found = await lstat(join(folder, name));
    const kind = found.isFile()
      ? "file"
      : found.isDirectory()
        ? "folder"
        : found.isSymbolicLink()
          ? "link"
          : "other";
    const { size: bytes, mode, mtimeMs: modifiedMs } = found;
    return { name, kind, bytes, mode: mode & 0o7777, modifiedMs };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

async function copyInPieces(
  source: FileHandle,
  target: FileHandle,
  bytesMax: number,
): Promise<Transfer> {
  const { size } = await source.stat();
  if (size > bytesMax) throw new Refused("too-large", `has ${size} bytes, over ${bytesMax}`);
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  let bytes = 0;
  for (;;) {
    const { bytesRead } = await source.read(piece, 0, piece.length, bytes);
    if (bytesRead === 0) return { bytes, sha256: hash.digest("hex") };
    if (bytes + bytesRead > bytesMax) throw new Refused("too-large", `grew over ${bytesMax} bytes`);
    const part = piece.subarray(0, bytesRead);
    hash.update(part);
    await target.writeFile(part);
    bytes += bytesRead;
  }
}
