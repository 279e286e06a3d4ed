import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { codeOf, workspaceFailure } from "./workspace-failure.ts";

/**
 * No larger file is carried out of a workspace: one with holes takes no room there, whatever size it
 * claims to have, and would fill the host's disk.
 */
export const DOWNLOAD_BYTES_MAX = 64 * 1024 ** 3;

/** Opens a file of the host that is to be carried into a workspace. */
export async function openHostFile(path: string): Promise<Result<FileHandle>> {
  const opened = await openOnHost(path, "r");
  if (!opened.ok) return opened;
  if ((await opened.value.stat()).isFile()) return opened;
  await opened.value.close();
  return workspaceFailure(`${path} is not a regular file`);
}

/** Fills a file of the host; what was there before stays until all has come. */
export async function replaceHostFile<T>(
  path: string,
  fill: (file: FileHandle) => Promise<Result<T>>,
): Promise<Result<T>> {
  const partial = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  const target = await openOnHost(partial, "w");
  if (!target.ok) return target;
  try {
    await using file = target.value;
    const filled = await fill(file);
    if (filled.ok) await rename(partial, path);
    return filled;
  } finally {
    await rm(partial, { force: true });
  }
}

async function openOnHost(path: string, flags: "r" | "w"): Promise<Result<FileHandle>> {
  try {
    return { ok: true, value: await open(path, flags) };
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return workspaceFailure(`${path}: ${String(error)}`, { cause: error });
  }
}
