import { appendFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { systemClock, timestamp } from "../lib/clock.ts";
import { codeOf } from "./workspace-failure.ts";

const READ_BYTES_MAX = 1024 * 1024;

/** Appends a line to a workspace's own log. */
export function appendEvent(path: string, event: string): void {
  appendFileSync(path, `${timestamp(systemClock)} ${event}\n`);
}

/** At most so much of a log's end; empty where there is none. */
export async function readLogEnd(path: string, bytesMax: number): Promise<string> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, bytesMax, READ_BYTES_MAX));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString("utf8", 0, bytesRead);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return "";
    throw error;
  }
}
