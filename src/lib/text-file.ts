import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";

export type TextFile =
  | { readonly ok: true; readonly text: string }
  | {
      readonly ok: false;
      readonly reason: "missing" | "unreadable";
      /** What is wrong with it, for people; starts with a verb: "is a folder". */
      readonly message: string;
    };

export interface TextFileLimits {
  readonly bytesMax: number;
  /** Refuses a file that is a symbolic link itself; folders above it may be links. */
  readonly followLinks: boolean;
}

/** Reads a whole UTF-8 file without its byte order mark. Never waits for a pipe or a device. */
export async function readTextFile(path: string, limits: TextFileLimits): Promise<TextFile> {
  const follow = limits.followLinks ? 0 : constants.O_NOFOLLOW;
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | follow);
  } catch (error) {
    return explain(error as NodeJS.ErrnoException);
  }
  try {
    return await readOpened(file, limits.bytesMax);
  } catch (error) {
    return explain(error as NodeJS.ErrnoException);
  } finally {
    await file.close();
  }
}

async function readOpened(file: FileHandle, bytesMax: number): Promise<TextFile> {
  const stats = await file.stat();
  if (stats.isDirectory()) return unreadable("is a folder, not a file");
  if (!stats.isFile()) return unreadable("is not a regular file");
  // One byte more than allowed tells a file that grew since it was measured.
  const buffer = Buffer.alloc(Math.min(stats.size, bytesMax) + 1);
  let length = 0;
  for (let read = 1; read > 0 && length < buffer.length; length += read) {
    read = (await file.read(buffer, length, buffer.length - length, length)).bytesRead;
  }
  if (length > bytesMax) return unreadable(`is larger than the ${bytesMax} bytes allowed`);
  if (length > stats.size) return unreadable("grew while it was read");
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(buffer.subarray(0, length));
    return { ok: true, text };
  } catch {
    return unreadable("is not UTF-8 text");
  }
}

function unreadable(message: string): TextFile {
  return { ok: false, reason: "unreadable", message };
}

function explain(error: NodeJS.ErrnoException): TextFile {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") {
    return { ok: false, reason: "missing", message: "does not exist" };
  }
  if (error.code === "ELOOP") return unreadable("is a symbolic link, which is not followed");
  return unreadable(`cannot be read: ${error.message}`);
}
