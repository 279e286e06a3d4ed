import { createHash } from "node:crypto";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { DOWNLOAD_BYTES_MAX } from "../host-file.ts";
import type { FileEntry, Transfer } from "../lasting-workspace.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { text } from "./agent-frames.ts";
import { ask, readGuestFile, writeGuestFile } from "./agent-requests.ts";

const PIECE_BYTES = 1024 * 1024;
const ENTRY_HEAD_BYTES = 21;
const KINDS = new Map<number, FileEntry["kind"]>([
  [0x66, "file"],
  [0x64, "folder"],
  [0x6c, "link"],
]);

/** One level of a folder, sorted by name. */
export async function listGuestFolder(
  agent: AgentConnection,
  path: string,
): Promise<Result<readonly FileEntry[]>> {
  const chunks: Buffer[] = [];
  const onData = (chunk: Buffer): void => void chunks.push(chunk);
  const listed = await ask(agent, { type: "L", payload: text(path), onData });
  if (!listed.ok) return listed;
  const entries = readEntries(Buffer.concat(chunks));
  return { ok: true, value: entries.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}

function readEntries(bytes: Buffer): readonly FileEntry[] {
  const entries: FileEntry[] = [];
  for (let at = 0; at + ENTRY_HEAD_BYTES < bytes.length;) {
    const end = bytes.indexOf(0, at + ENTRY_HEAD_BYTES);
    if (end === -1) break;
    entries.push({
      name: bytes.toString("utf8", at + ENTRY_HEAD_BYTES, end),
      kind: KINDS.get(bytes[at] ?? 0) ?? "other",
      mode: bytes.readUInt32LE(at + 1),
      bytes: Number(bytes.readBigUInt64LE(at + 5)),
      modifiedMs: Number(bytes.readBigUInt64LE(at + 13)),
    });
    at = end + 1;
  }
  return entries;
}

/** Copies a file of the host into the guest, in pieces. */
export async function uploadToGuest(
  agent: AgentConnection,
  { hostPath, path }: { readonly hostPath: string; readonly path: string },
): Promise<Result<Transfer>> {
  const source = await openOnHost(hostPath, "r");
  if (!source.ok) return source;
  await using file = source.value;
  if (!(await file.stat()).isFile()) return workspaceFailure(`${hostPath} is not a regular file`);
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  for (let bytes = 0; ;) {
    const { bytesRead } = await file.read(piece, 0, piece.length, bytes);
    if (bytesRead === 0 && bytes > 0) {
      return { ok: true, value: { bytes, sha256: hash.digest("hex") } };
    }
    const content = piece.subarray(0, bytesRead);
    hash.update(content);
    const written = await writeGuestFile(agent, { path, content, isAppended: bytes > 0 });
    if (!written.ok) return written;
    bytes += bytesRead;
    if (bytesRead === 0) return { ok: true, value: { bytes, sha256: hash.digest("hex") } };
  }
}

/** Copies a file of the guest out, in pieces; what was there before stays until all has come. */
export async function downloadFromGuest(
  agent: AgentConnection,
  { path, hostPath }: { readonly hostPath: string; readonly path: string },
): Promise<Result<Transfer>> {
  const partial = join(dirname(hostPath), `.${basename(hostPath)}.${process.pid}.part`);
  const target = await openOnHost(partial, "w");
  if (!target.ok) return target;
  try {
    await using file = target.value;
    const hash = createHash("sha256");
    const bytesMax = DOWNLOAD_BYTES_MAX;
    const onPiece = async (piece: Buffer): Promise<void> => {
      hash.update(piece);
      await file.writeFile(piece);
    };
    const read = await readGuestFile(agent, { path, bytesMax, onPiece });
    if (!read.ok) return read;
    await rename(partial, hostPath);
    return { ok: true, value: { bytes: read.value, sha256: hash.digest("hex") } };
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
