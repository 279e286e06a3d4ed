import { statfsSync } from "node:fs";

/** Less than any machine's memory or disk takes at once. */
const FULL_BYTES = 4 * 1024 * 1024;

/** Whether there is as good as no room where a folder is. */
export function isFull(folder: string): boolean {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize < FULL_BYTES;
}
