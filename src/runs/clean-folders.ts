import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { Refusal } from "../domain/failure.ts";
import { runsFolder } from "./run-folder.ts";

/** The runs that have a folder, with or without rows. */
export async function listKeptLogs(home: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(runsFolder(home), { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Refuses to remove anything below a folder of runs that is a link to somewhere else. */
export async function requireRealFolder(home: string): Promise<void> {
  const folder = runsFolder(home);
  try {
    if ((await realpath(folder)) === join(await realpath(home), "runs")) return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  throw new Refusal("usage", `${folder} is a link to another place, which is not touched`, {
    hint: "remove the link, or what it leads to, by hand",
    details: { path: folder },
  });
}
