import { open, readFile, writeFile } from "node:fs/promises";
import { codeOf } from "../workspace-failure.ts";
import { drainConsole, type Monitor } from "./qmp.ts";
import type { VmLayout } from "./vm-record.ts";

const LOG_BYTES_MAX = 1024 * 1024;
/** A guest may print for ever. */
const CONSOLE_BYTES_MAX = 256 * 1024;

/** Takes what the guest has printed since, and keeps the end of all that it has. */
export async function keepConsole({ console }: VmLayout, monitor: Monitor): Promise<void> {
  const said = await drainConsole(monitor);
  if (!said.ok || said.value === "") return;
  const all = Buffer.concat([await readOptional(console), Buffer.from(said.value)]);
  await writeFile(console, all.subarray(-CONSOLE_BYTES_MAX), { mode: 0o600 });
}

/** The end of a file; empty where there is none. */
export async function readEnd(path: string, bytesMax: number): Promise<string> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, Math.max(bytesMax, 0), LOG_BYTES_MAX));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString("utf8", 0, bytesRead);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return "";
    throw error;
  }
}

async function readOptional(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}
