import { DatabaseSync } from "node:sqlite";

const SQLITE_BUSY = 5;

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
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return null;
    throw error;
  }
  return { path, [Symbol.dispose]: () => database.close() };
}
