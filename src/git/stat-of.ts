import { lstatSync, type Stats } from "node:fs";

/** What is at a path itself, links not followed; `undefined` for nothing. */
export function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // Something above it is no folder, so it cannot be there.
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
    throw error;
  }
}
