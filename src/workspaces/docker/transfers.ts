import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import type { Result } from "../../domain/failure.ts";
import type { FileEntry, Transfer } from "../lasting-workspace.ts";
import type { Workspace } from "../workspace.ts";
import { DOWNLOAD_BYTES_MAX, openHostFile, replaceHostFile } from "../host-file.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { fileOf } from "./docker-workspace.ts";
import { decodeList } from "./frames.ts";
import type { GuestPool } from "./guest-pool.ts";

const TIMEOUT_MS = 3_600_000;

/** A host's file into the container, in pieces; the hash is what the container makes of it. */
export async function upload(
  workspace: Workspace,
  pool: GuestPool,
  { hostPath, path }: { readonly hostPath: string; readonly path: string },
): Promise<Result<Transfer>> {
  const source = await openHostFile(hostPath);
  if (!source.ok) return source;
  await using file = source.value;
  const content = file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>;
  await pool.use((guest) => guest.write(fileOf(path), content, TIMEOUT_MS));
  const { ending, stdout, stderr } = await workspace.exec({
    command: ["/bin/sh", "-c", 'sha256sum < "$1" && wc -c < "$1"', "hash", path],
    timeoutMs: TIMEOUT_MS,
  });
  const [, sha256, bytes] = /^([0-9a-f]{64}) .*\n\s*(\d+)\s*$/.exec(stdout.text) ?? [];
  if (ending.kind === "exited" && ending.code === 0 && sha256 !== undefined) {
    return { ok: true, value: { bytes: Number(bytes), sha256 } };
  }
  return workspaceFailure(`${path} was written but not read again: ${stderr.text.trim()}`);
}

/** A file of the container to the host, in pieces; hashed as it arrives. */
export function download(
  pool: GuestPool,
  { hostPath, path }: { readonly hostPath: string; readonly path: string },
): Promise<Result<Transfer>> {
  return replaceHostFile(hostPath, async (file) => {
    const hash = createHash("sha256");
    let bytes = 0;
    const asked = [...fileOf(path), DOWNLOAD_BYTES_MAX, 0, -1];
    let trouble: unknown;
    const take = (piece: Buffer, guest: { end(): void }): void => {
      if (trouble !== undefined) return;
      try {
        for (let at = 0; at < piece.length;) at += writeSync(file.fd, piece, at);
        hash.update(piece);
        bytes += piece.length;
      } catch (error) {
        trouble = error;
        guest.end();
      }
    };
    try {
      await pool.use((guest) => guest.read("R", asked, TIMEOUT_MS, (piece) => take(piece, guest)));
    } catch (error) {
      if (trouble === undefined) throw error;
      return workspaceFailure(`${hostPath} could not be written`, { cause: trouble });
    }
    return { ok: true, value: { bytes, sha256: hash.digest("hex") } };
  });
}

export async function listFiles(
  pool: GuestPool,
  path: string,
): Promise<Result<readonly FileEntry[]>> {
  const entries: FileEntry[] = [];
  await pool.use((guest) =>
    guest.read("L", fileOf(path), TIMEOUT_MS, (piece) => entries.push(...entriesIn(piece))),
  );
  return { ok: true, value: entries.toSorted((one, other) => (one.name < other.name ? -1 : 1)) };
}

function entriesIn(piece: Buffer): readonly FileEntry[] {
  const fields = decodeList(piece);
  return Array.from({ length: Math.floor(fields.length / 5) }, (_, index) => {
    const [name = "", kind = "other", bytes, mode, seconds] = fields.slice(
      index * 5,
      index * 5 + 5,
    );
    return {
      name,
      kind: kind as FileEntry["kind"],
      bytes: Number(bytes),
      mode: Number(mode),
      modifiedMs: Number(seconds) * 1000,
    };
  });
}
