import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

/** Bytes of all files below a path, links not followed; 0 for one that is not there. */
export async function folderSize(path: string): Promise<number> {
  let bytes = 0;
  const open = [path];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const entry = await orMissing(lstat(next));
    if (entry === null) continue;
    if (entry.isDirectory()) {
      for (const name of (await orMissing(readdir(next))) ?? []) open.push(join(next, name));
    } else {
      bytes += entry.size;
    }
  }
  return bytes;
}

/** Others may remove files meanwhile, and agents may leave folders that cannot be read. */
async function orMissing<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES" || code === "EPERM") {
      return null;
    }
    throw error;
  }
}
