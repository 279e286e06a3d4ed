import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import type { Result } from "../../domain/failure.ts";
import type { FileEntry, Transfer } from "../lasting-workspace.ts";
import { DOWNLOAD_BYTES_MAX } from "../host-file.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import {
  failureInside,
  LOCATE,
  LOCATE_FILE,
  LOCATE_TARGET,
  locateInside,
  NOT_A_FOLDER,
  refused,
  TOO_LARGE,
  type RunInside,
} from "./files.ts";

const TRANSFER_TIMEOUT_MS = 6 * 3_600_000;
const PIECE_BYTES = 256 * 1024;
const OUTPUT_BYTES_MAX = 4096;
const LIST_BYTES_MAX = 32 * 1024 * 1024;
const ENTRIES_MAX = 100_000;

const UPLOAD = `${LOCATE_TARGET}
cat > "$target" || exit 1
sha256sum < "$target" && stat -c %s -- "$target"
`;

/** A byte more than there may be tells that it grew meanwhile. */
const DOWNLOAD = `${LOCATE_FILE}
[ "$(stat -c %s -- "$real")" -le ${DOWNLOAD_BYTES_MAX} ] || exit ${TOO_LARGE}
exec head -c ${DOWNLOAD_BYTES_MAX + 1} -- "$real"
`;

/** The name is last, because it may hold anything but a NUL. */
const LIST = `${LOCATE}
[ -d "$real" ] || exit ${NOT_A_FOLDER}
cd -- "$real" || exit 1
exec find . -mindepth 1 -maxdepth 1 -printf '%y %s %m %T@ %f\\0'
`;

/** Carries a file of the host in, in pieces. The answer's hash is made inside, of what arrived. */
export async function uploadInside(
  run: RunInside,
  { hostPath, path }: { readonly hostPath: string; readonly path: string },
): Promise<Result<Transfer>> {
  const located = locateInside(path);
  if (!located.ok) return located;
  const opened = await openSource(hostPath);
  if (!opened.ok) return opened;
  await using file = opened.value;
  const sent = createHash("sha256");
  const source = Readable.from(
    pieces(file, (piece) => sent.update(piece)),
    { objectMode: false },
  );
  const result = await run({
    command: ["/bin/sh", "-c", UPLOAD, "upload", located.value],
    stdin: source,
    outputBytesMax: OUTPUT_BYTES_MAX,
    timeoutMs: TRANSFER_TIMEOUT_MS,
  });
  const failure = failureInside(path, result);
  source.destroy();
  if (failure !== null) return failure;
  const [, sha256, bytes] =
    /^([0-9a-f]{64}) .*\n(\d+)\n$/.exec(result.stdout.bytes.toString()) ?? [];
  if (source.errored === null && sha256 !== undefined && sha256 === sent.digest("hex")) {
    return { ok: true, value: { sha256, bytes: Number(bytes) } };
  }
  return workspaceFailure(`${path}: what arrived is not what was sent`, { details: { path } });
}

/** Carries a file out, in pieces; what was there before stays until all has come. */
export async function downloadInside(
  run: RunInside,
  { path, hostPath }: { readonly path: string; readonly hostPath: string },
): Promise<Result<Transfer>> {
  const located = locateInside(path);
  if (!located.ok) return located;
  const partial = join(dirname(hostPath), `.${basename(hostPath)}.${process.pid}.part`);
  try {
    const received = await receive(run, { path, inside: located.value, partial });
    if (received.ok) await rename(partial, hostPath);
    return received;
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return workspaceFailure(`${hostPath}: ${String(error)}`, { cause: error });
  } finally {
    await rm(partial, { force: true });
  }
}

/** One level of a folder, sorted by name. */
export async function listInside(
  run: RunInside,
  path: string,
): Promise<Result<readonly FileEntry[]>> {
  const located = locateInside(path);
  if (!located.ok) return located;
  const command = ["/bin/sh", "-c", LIST, "list", located.value] as const;
  const result = await run({ command, outputBytesMax: LIST_BYTES_MAX });
  const failure = failureInside(path, result);
  if (failure !== null) return failure;
  const lines = result.stdout.bytes.toString().split("\0").slice(0, -1);
  if (result.stdout.droppedBytes > 0 || lines.length > ENTRIES_MAX) {
    const details = { path, reason: "too-large" };
    return workspaceFailure(`${path} holds more than ${ENTRIES_MAX} entries`, { details });
  }
  const entries = lines.flatMap((line) => entryOf(line) ?? []);
  return {
    ok: true,
    value: entries.toSorted((one, other) => (one.name < other.name ? -1 : 1)),
  };
}

const KINDS: Readonly<Record<string, FileEntry["kind"]>> = { f: "file", d: "folder", l: "link" };

function entryOf(line: string): FileEntry | null {
  const [, type = "", bytes, mode = "", modified, name] =
    /^(\S) (\d+) ([0-7]+) ([\d.-]+) ([^]*)$/.exec(line) ?? [];
  if (name === undefined) return null;
  const kind = KINDS[type] ?? "other";
  const modifiedMs = Number(modified) * 1000;
  return { name, kind, bytes: Number(bytes), mode: Number.parseInt(mode, 8), modifiedMs };
}

async function* pieces(file: FileHandle, see: (piece: Buffer) => void): AsyncGenerator<Buffer> {
  for (;;) {
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    const { bytesRead } = await file.read(piece, 0, piece.length, null);
    if (bytesRead === 0) return;
    see(piece.subarray(0, bytesRead));
    yield piece.subarray(0, bytesRead);
  }
}

/** Written as it comes, so that no more of it than a piece is ever in memory. */
async function receive(
  run: RunInside,
  { path, inside, partial }: { readonly path: string; inside: string; partial: string },
): Promise<Result<Transfer>> {
  const file = openSync(partial, "w");
  const hash = createHash("sha256");
  const stop = new AbortController();
  let bytes = 0;
  let trouble: unknown = null;
  const write = (chunk: Buffer): void => {
    try {
      for (let at = 0; at < chunk.length;) at += writeSync(file, chunk, at);
      hash.update(chunk);
      bytes += chunk.length;
    } catch (error) {
      trouble ??= error;
      stop.abort();
    }
  };
  try {
    const result = await run({
      command: ["/bin/sh", "-c", DOWNLOAD, "download", inside],
      outputBytesMax: OUTPUT_BYTES_MAX,
      onOutput: (stream, chunk) => {
        if (stream === "stdout" && trouble === null) write(chunk);
      },
      signal: stop.signal,
      timeoutMs: TRANSFER_TIMEOUT_MS,
    });
    if (trouble !== null) throw trouble;
    if (bytes > DOWNLOAD_BYTES_MAX)
      return refused(path, "too-large", "grew beyond what is allowed");
    return (
      failureInside(path, result) ?? { ok: true, value: { bytes, sha256: hash.digest("hex") } }
    );
  } finally {
    closeSync(file);
  }
}

async function openSource(path: string): Promise<Result<FileHandle>> {
  try {
    const file = await open(path, "r");
    if ((await file.stat()).isFile()) return { ok: true, value: file };
    await file.close();
    return workspaceFailure(`${path} is not a regular file`);
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return workspaceFailure(`${path}: ${String(error)}`, { cause: error });
  }
}
