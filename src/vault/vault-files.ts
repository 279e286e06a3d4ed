import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { link, lstat, mkdir, readdir, realpath, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Failure, Result } from "../domain/failure.ts";
import { syncFolder, writeFileAtomically } from "../lib/atomic-file.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { lockFile } from "../lib/file-lock.ts";
import { readTextFile } from "../lib/text-file.ts";
import { VAULT_LIMITS } from "./limits.ts";
import { checkFolderPath, checkNotePath, noteFailure } from "./note-path.ts";

/** A note without its text. */
export interface NoteEntry {
  readonly path: string;
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly modifiedMs: number;
}

/**
 * The folder with the notes. People and other programs read and write in it at the same time: what
 * is there is looked at anew each time, links are never followed, and hidden names are not touched.
 */
export interface VaultFiles {
  /** Whole, as UTF-8. */
  read(path: string): Promise<Result<string>>;
  entry(path: string): Promise<Result<NoteEntry>>;
  /**
   * Changes a note while nobody else does, in whatever process: `change` is given its text, or
   * `null` where there is none, and answers the new one; `null` leaves it as it is.
   */
  update<T>(path: string, change: NoteChange<T>): Promise<Result<T>>;
  remove(path: string): Promise<Result<void>>;
  move(from: string, to: MoveTarget): Promise<Result<void>>;
  /** Sorted by path. */
  list(folder: string, options: { readonly recursive: boolean }): Promise<Result<Listing>>;
}

export type NoteChange<T> = (
  text: string | null,
) => Promise<Result<{ readonly text: string | null; readonly value: T }>>;

export interface MoveTarget {
  readonly path: string;
  readonly overwrite: boolean;
}

export interface Listing {
  readonly notes: readonly NoteEntry[];
  readonly folders: readonly string[];
}

/** Notes share locks by the hash of their path, so that their number stays small. */
const LOCKS = 256;
const LOCK_FOLDER = ".mycelium";

/** The folder is made with the first note. */
export function openVaultFiles(root: string): VaultFiles {
  const means = { root };
  return {
    read: async (path) => {
      const place = await locate(means, path);
      return place.ok ? readNote(place.value) : place;
    },
    entry: async (path) => {
      const place = await locate(means, path);
      if (!place.ok) return place;
      const stats = await statOf(place.value.file);
      return stats?.isFile() === true
        ? { ok: true, value: toEntry(place.value.path, stats) }
        : missing(place.value.path);
    },
    update: (path, change) => update(means, path, change),
    remove: async (path) => {
      const place = await locate(means, path);
      if (!place.ok) return place;
      return locked<void>(means, [place.value], async () => {
        const stats = await statOf(place.value.file);
        if (stats?.isFile() !== true) return missing(place.value.path);
        await rm(place.value.file);
        await syncFolder(dirname(place.value.file));
        await removeEmptyFolders(means, dirname(place.value.path));
        return { ok: true, value: undefined };
      });
    },
    move: (from, to) => move(means, from, to),
    list: (folder, options) => list(means, folder, options),
  };
}

interface Means {
  readonly root: string;
}

interface Place {
  readonly path: string;
  readonly file: string;
}

/** Where a note is or would be. Each folder on the way that is there must be a real one. */
async function locate({ root }: Means, given: string): Promise<Result<Place>> {
  const checked = checkNotePath(given);
  if (!checked.ok) return checked;
  const path = checked.value;
  const folder = await realFolder(root, dirname(path));
  if (!folder.ok) return folder;
  const file = join(folder.value, path.slice(path.lastIndexOf("/") + 1));
  const stats = await statOf(file);
  if (stats !== null && !stats.isFile()) return refuse(path, "is not a regular file");
  return { ok: true, value: { path, file } };
}

async function realFolder(root: string, path: string): Promise<Result<string>> {
  let folder = (await realpathOrNull(root)) ?? root;
  if (path === "." || path === "") return { ok: true, value: folder };
  for (const segment of path.split("/")) {
    folder = join(folder, segment);
    const stats = await statOf(folder);
    if (stats !== null && !stats.isDirectory()) {
      return refuse(path, stats.isSymbolicLink() ? "leads over a link" : "is not a folder");
    }
  }
  return { ok: true, value: folder };
}

async function readNote({ path, file }: Place): Promise<Result<string>> {
  const bytesMax = VAULT_LIMITS.noteBytes;
  const read = await readTextFile(file, { bytesMax, followLinks: false });
  if (read.ok) return { ok: true, value: read.text };
  return read.reason === "missing" ? missing(path) : refuse(path, read.message);
}

async function update<T>(means: Means, given: string, change: NoteChange<T>): Promise<Result<T>> {
  const place = await locate(means, given);
  if (!place.ok) return place;
  return locked<T>(means, [place.value], async () => {
    const { path, file } = place.value;
    const read = await readNote(place.value);
    if (!read.ok && read.failure.code !== "note-missing") return read;
    const changed = await change(read.ok ? read.value : null);
    if (!changed.ok) return changed;
    const { text, value } = changed.value;
    if (text === null) return { ok: true, value };
    const bytes = Buffer.byteLength(text);
    if (bytes > VAULT_LIMITS.noteBytes) {
      return refuse(
        path,
        `would be too large: ${bytes} bytes; the limit is ${VAULT_LIMITS.noteBytes}`,
      );
    }
    if (!text.isWellFormed()) return refuse(path, "would hold half a character");
    await mkdir(dirname(file), { recursive: true });
    crashPoint("note.writing");
    await writeFileAtomically(file, text);
    return { ok: true, value };
  });
}

async function move(means: Means, given: string, to: MoveTarget): Promise<Result<void>> {
  const [from, target] = [await locate(means, given), await locate(means, to.path)];
  if (!from.ok) return from;
  if (!target.ok) return target;
  return locked<void>(means, [from.value, target.value], async () => {
    if ((await statOf(from.value.file)) === null) return missing(from.value.path);
    if (from.value.file === target.value.file) return { ok: true, value: undefined };
    await mkdir(dirname(target.value.file), { recursive: true });
    if (to.overwrite) {
      await rename(from.value.file, target.value.file);
    } else {
      const isNew = await linkNew(from.value.file, target.value.file);
      if (!isNew) {
        const hint = "overwrite it, or choose another path";
        const { path } = target.value;
        return { ok: false, failure: noteFailure("note-exists", path, "is there already", hint) };
      }
      await rm(from.value.file);
    }
    await syncFolder(dirname(target.value.file));
    await syncFolder(dirname(from.value.file));
    await removeEmptyFolders(means, dirname(from.value.path));
    return { ok: true, value: undefined };
  });
}

/** A rename would silently replace what another program made meanwhile. */
async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

async function list(
  { root }: Means,
  given: string,
  { recursive }: { readonly recursive: boolean },
): Promise<Result<Listing>> {
  const checked = checkFolderPath(given);
  if (!checked.ok) return checked;
  const top = await realFolder(root, checked.value);
  if (!top.ok) return top;
  const notes: NoteEntry[] = [];
  const folders: string[] = [];
  const waiting = [{ path: checked.value, folder: top.value }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const entry of await entriesOf(next.folder)) {
      const path = next.path === "" ? entry.name : `${next.path}/${entry.name}`;
      const place = join(next.folder, entry.name);
      if (entry.isDirectory() && checkFolderPath(path).ok) {
        folders.push(path);
        if (recursive) waiting.push({ path, folder: place });
      } else if (entry.isFile() && checkNotePath(path).ok) {
        const stats = await statOf(place);
        if (stats?.isFile() === true) notes.push(toEntry(path, stats));
      }
      if (notes.length + folders.length > VAULT_LIMITS.notes) return tooMany();
    }
  }
  const byPath = (one: string, other: string): number => (one < other ? -1 : 1);
  notes.sort((one, other) => byPath(one.path, other.path));
  return { ok: true, value: { notes, folders: folders.toSorted(byPath) } };
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
    throw error;
  }
}

/** In the order of their numbers, so that two moves never wait for each other. */
async function locked<T>(
  { root }: Means,
  places: readonly Place[],
  act: () => Promise<Result<T>>,
): Promise<Result<T>> {
  const folder = join(root, LOCK_FOLDER, "locks");
  await mkdir(folder, { recursive: true });
  const numbers = [...new Set(places.map(({ path }) => lockNumber(path)))].toSorted(
    (a, b) => a - b,
  );
  using held = new DisposableStack();
  for (const number of numbers) {
    const lock = await lockFile(join(folder, `${number}`), { waitMs: VAULT_LIMITS.lockWaitMs });
    if (lock === null) {
      const path = places[0]?.path ?? "";
      const failure = noteFailure("vault-failed", path, "is being changed by others, for too long");
      return { ok: false, failure };
    }
    held.use(lock);
  }
  try {
    return await act();
  } catch (error) {
    const code = codeOf(error);
    if (code === "") throw error;
    const message = `the vault cannot be changed: ${String(error)}`;
    const isFull = code === "ENOSPC" || code === "EDQUOT";
    const hint = isFull ? "free some space on the disk that holds the vault" : null;
    const problem: Failure["code"] = isFull ? "disk-full" : "vault-failed";
    return { ok: false, failure: { code: problem, message, details: {}, hint } };
  }
}

/** File systems may take two spellings for one name. */
function lockNumber(path: string): number {
  const digest = createHash("sha256").update(path.normalize("NFC").toLowerCase()).digest();
  return digest.readUInt16BE(0) % LOCKS;
}

async function removeEmptyFolders({ root }: Means, path: string): Promise<void> {
  for (let folder = path; folder !== "."; folder = dirname(folder)) {
    try {
      await rmdir(join(root, folder));
    } catch {
      return;
    }
  }
}

async function statOf(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return null;
    throw error;
  }
}

async function realpathOrNull(path: string): Promise<string | null> {
  try {
    return await realpath(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

function toEntry(path: string, stats: Stats): NoteEntry {
  return { path, bytes: stats.size, modifiedMs: Math.round(stats.mtimeMs) };
}

function codeOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" ? code : "";
}

function missing(path: string): Result<never> {
  const hint = "`mycelium vault list` shows what there is";
  return { ok: false, failure: noteFailure("note-missing", path, "does not exist", hint) };
}

function refuse(path: string, problem: string): Result<never> {
  return { ok: false, failure: noteFailure("note-invalid", path, problem) };
}

function tooMany(): Result<never> {
  const message = `the vault has more than ${VAULT_LIMITS.notes} notes and folders there`;
  const failure = {
    code: "vault-failed",
    message,
    details: {},
    hint: "name a folder of it",
  } as const;
  return { ok: false, failure };
}
