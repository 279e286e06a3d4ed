import { createHash } from "node:crypto";
import { closeSync, createReadStream, openSync, writeSync } from "node:fs";
import type { Result } from "../../domain/failure.ts";
import type { FileEntry, Transfer } from "../lasting-workspace.ts";
import type { Workspace } from "../workspace.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { fileOf } from "./docker-workspace.ts";
import { decodeList } from "./frames.ts";
import type { GuestPool } from "./guest-pool.ts";

const TIMEOUT_MS = 3_600_000;
const EDIT_BYTES_MAX = 32 * 1024 * 1024;

/** A host's file into the container, in pieces; the hash is what the container makes of it. */
export async function upload(
  workspace: Workspace,
  pool: GuestPool,
  { hostPath, path }: { readonly hostPath: string; readonly path: string },
): Promise<Result<Transfer>> {
  const content = createReadStream(hostPath) as AsyncIterable<Buffer>;
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

/** A file of the container to the host, in pieces, replacing what is there; hashed as it arrives. */
export async function download(
  pool: GuestPool,
  { hostPath, path }: { readonly hostPath: string; readonly path: string },
): Promise<Result<Transfer>> {
  const hash = createHash("sha256");
  let bytes = 0;
  const file = openSync(hostPath, "w");
  try {
    const asked = [...fileOf(path), -1, 0, -1];
    let trouble: unknown;
    await pool
      .use((guest) =>
        guest.read("R", asked, TIMEOUT_MS, (piece) => {
          if (trouble !== undefined) return;
          try {
            writeSync(file, piece);
            hash.update(piece);
            bytes += piece.length;
          } catch (error) {
            trouble = error;
            guest.end();
          }
        }),
      )
      .catch((error: unknown) => {
        throw trouble ?? error;
      });
    return { ok: true, value: { bytes, sha256: hash.digest("hex") } };
  } finally {
    closeSync(file);
  }
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

/** Replaces the only occurrence. */
export async function editFile(
  workspace: Workspace,
  path: string,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<Result<void>> {
  const read = await workspace.readFile(path, { bytesMax: EDIT_BYTES_MAX });
  if (!read.ok) return read;
  const text = read.value.toString("utf8");
  if (!Buffer.from(text).equals(read.value)) {
    return workspaceFailure(`${path}: is not UTF-8`, { details: { path, reason: "not-text" } });
  }
  const parts = from === "" ? [] : text.split(from);
  if (parts.length !== 2) {
    const times = Math.max(parts.length - 1, 0);
    return workspaceFailure(`${path}: the text to replace is there ${times} times, not once`, {
      details: { path, reason: times === 0 ? "no-match" : "several-matches", times },
    });
  }
  return workspace.writeFile(path, parts.join(to));
}
