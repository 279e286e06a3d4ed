import { appendFile, mkdir, open, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";

/** A longer line than any event's: taken for damage without being read. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

const CHUNK_BYTES = 64 * 1024;

const LINE_FEED = 0x0a;

/**
 * Cuts a file of events back to its last whole line that is an event, and answers that event's
 * sequence number: 0 for a file that is missing or holds none. What was cut off is in the database.
 */
export async function repairTail(path: string): Promise<number> {
  const file = await openExisting(path);
  if (file === null) return 0;
  try {
    const { size } = await file.stat();
    let end = size;
    while (end > 0) {
      const start = await lineStart(file, end);
      const seq = await seqOfLine(file, start, end);
      if (seq !== null) {
        if (end < size) await file.truncate(end);
        return seq;
      }
      end = start;
    }
    await file.truncate(0);
    return 0;
  } finally {
    await file.close();
  }
}

/** Adds whole lines, making the file and its folder where they are missing. */
export async function appendLines(path: string, lines: readonly string[]): Promise<void> {
  const text = `${lines.join("\n")}\n`;
  try {
    await appendFile(path, text, { mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await appendFile(path, text, { mode: 0o600 });
  }
}

async function openExisting(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Where the line that ends before `end` begins; its own line feed is not counted. */
async function lineStart(file: FileHandle, end: number): Promise<number> {
  let position = end - 1;
  while (position > 0) {
    const start = Math.max(0, position - CHUNK_BYTES);
    const chunk = await readRange(file, start, position);
    const found = chunk.lastIndexOf(LINE_FEED);
    if (found !== -1) return start + found + 1;
    position = start;
  }
  return 0;
}

async function seqOfLine(file: FileHandle, start: number, end: number): Promise<number | null> {
  if (end - start > LINE_BYTES_MAX) return null;
  const line = (await readRange(file, start, end)).toString("utf8");
  if (!line.endsWith("\n")) return null;
  try {
    const { seq } = JSON.parse(line) as { seq?: unknown };
    return typeof seq === "number" && Number.isSafeInteger(seq) && seq > 0 ? seq : null;
  } catch {
    return null;
  }
}

async function readRange(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const buffer = Buffer.alloc(end - start);
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, start + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
