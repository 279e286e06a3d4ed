import { DatabaseSync } from "node:sqlite";
import { systemClock } from "./clock.ts";

const SQLITE_BUSY = 5;
const SQLITE_CANTOPEN = 14;

const WAIT_MS = 30_000;
const PAUSE_MS = 10;

/** Held until disposed, or until its process ends in whatever way. */
export interface FileLock extends Disposable {
  readonly path: string;
}

/**
 * Takes an exclusive lock on `path`, or answers `null` at once while another holder lives. The file
 * is made where it is missing and stays, empty.
 *
 * Node has no lock that the kernel releases when a process is killed; SQLite brings one, so there
 * are no process ids to compare and nothing stale to clean up.
 */
export function tryLockFile(path: string): FileLock | null {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // Nothing is ever written, and no file for a journal is wanted: a full disk has no room for one.
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return null;
    throw error;
  }
  return { path, [Symbol.dispose]: () => database.close() };
}

/**
 * Takes the lock as soon as whoever holds it lets go. `null` where that took longer than `waitMs`
 * (half a minute), where `signal` was aborted, or where the file's folder is gone.
 */
export async function lockFile(
  path: string,
  { waitMs = WAIT_MS, signal }: { readonly waitMs?: number; readonly signal?: AbortSignal } = {},
): Promise<FileLock | null> {
  const deadline = systemClock.monotonic() + waitMs;
  for (;;) {
    const lock = tryLockOrGone(path);
    if (lock !== null) return lock === "gone" ? null : lock;
    if (systemClock.monotonic() > deadline || signal?.aborted === true) return null;
    await systemClock.sleep(PAUSE_MS, signal);
  }
}

function tryLockOrGone(path: string): FileLock | "gone" | null {
  try {
    return tryLockFile(path);
  } catch (error) {
    if ((error as { errcode?: number }).errcode === SQLITE_CANTOPEN) return "gone";
    throw error;
  }
}
