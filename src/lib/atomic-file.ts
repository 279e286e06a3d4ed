import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** How many leftovers of dead processes a name may meet before something else must be wrong. */
const LEFTOVERS_MAX = 1000;

export interface AtomicWriteOptions {
  /** Who may read and write it, as in `chmod`; what the process gives to new files by default. */
  readonly mode?: number;
}

/**
 * Replaces the file at `path` in one step: whoever reads it, even after a crash or a power cut,
 * finds the old content or the new one, whole. The folder must exist. A symbolic link at `path` is
 * replaced, not followed. Throws the file system's own error, with nothing left behind.
 */
export async function writeFileAtomically(
  path: string,
  content: string | Uint8Array,
  { mode }: AtomicWriteOptions = {},
): Promise<void> {
  const temporary = await createBeside(path, mode);
  try {
    await fillAndClose(temporary.file, content, mode);
    await rename(temporary.path, path);
  } catch (error) {
    await rm(temporary.path, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Makes the names in a folder, new and removed, survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

let serial = 0;

/** A new file in the same folder, because only there a rename is one step. */
async function createBeside(
  path: string,
  mode: number | undefined,
): Promise<{ file: FileHandle; path: string }> {
  for (let tries = 0; ; tries += 1) {
    serial += 1;
    const name = `.${basename(path)}.${process.pid}.${serial}.tmp`;
    const candidate = join(dirname(path), name);
    try {
      return { file: await open(candidate, "wx", mode), path: candidate };
    } catch (error) {
      // In containers process ids repeat, so the name may belong to a process that died.
      const taken = (error as NodeJS.ErrnoException).code === "EEXIST";
      if (!taken || tries >= LEFTOVERS_MAX) throw error;
    }
  }
}

async function fillAndClose(
  file: FileHandle,
  content: string | Uint8Array,
  mode: number | undefined,
): Promise<void> {
  try {
    // Opening takes away what the process's mask does; it never gives more than was asked for.
    if (mode !== undefined) await file.chmod(mode);
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}
