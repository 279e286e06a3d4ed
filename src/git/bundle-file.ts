import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { ObjectFormat } from "./parts.ts";
import { isObjectId } from "./ref-name.ts";

/** A worker's commits, as git's bundle format holds them. */
export interface BundleFile {
  readonly objectFormat: ObjectFormat;
  readonly refs: readonly { readonly ref: string; readonly id: string }[];
  /** The objects, in git's pack format, not looked into yet. */
  readonly pack: Buffer;
}

export type BundleReading =
  | { readonly kind: "read"; readonly bundle: BundleFile }
  | { readonly kind: "unreadable"; readonly reason: string };

export const BUNDLE_BYTES_MAX = 128 * 1024 * 1024;
const HEADER_BYTES_MAX = 256 * 1024;

/**
 * Reads a file that a worker wrote: nothing in it is believed, a symbolic link is not followed, and
 * a pipe cannot make the reader wait.
 */
export async function readBundleFile(
  path: string,
  bytesMax = BUNDLE_BYTES_MAX,
): Promise<BundleReading> {
  const bytes = await readRegularFile(path, bytesMax);
  return "reason" in bytes ? { kind: "unreadable", reason: bytes.reason } : parse(bytes.content);
}

async function readRegularFile(
  path: string,
  bytesMax: number,
): Promise<{ readonly content: Buffer } | { readonly reason: string }> {
  try {
    await using file = await open(
      path,
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    const stat = await file.stat();
    if (!stat.isFile()) return { reason: "is no regular file" };
    if (stat.size > bytesMax) {
      return { reason: `has ${stat.size} bytes; ${bytesMax} is the most that is taken` };
    }
    const content = Buffer.alloc(stat.size);
    const { bytesRead } = await file.read(content, 0, stat.size, 0);
    return { content: content.subarray(0, bytesRead) };
  } catch (error) {
    return { reason: `cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}` };
  }
}

function parse(content: Buffer): BundleReading {
  const headerEnd = content.subarray(0, HEADER_BYTES_MAX).indexOf("\n\n");
  const [signature, ...lines] = content.subarray(0, Math.max(headerEnd, 0)).toString().split("\n");
  if (headerEnd < 0 || !/^# v[23] git bundle$/.test(signature ?? "")) {
    return { kind: "unreadable", reason: "is no git bundle" };
  }
  let objectFormat: ObjectFormat = "sha1";
  const refs: { ref: string; id: string }[] = [];
  for (const line of lines) {
    // Prerequisites: git itself checks that nothing is missing.
    if (line.startsWith("-")) continue;
    const [id = "", ...rest] = line.split(" ");
    if (line === "@object-format=sha256") objectFormat = "sha256";
    else if (isObjectId(id) && rest.length > 0) refs.push({ id, ref: rest.join(" ") });
    else if (line !== "@object-format=sha1") {
      return { kind: "unreadable", reason: `has a header that is not understood: ${line}` };
    }
  }
  return { kind: "read", bundle: { objectFormat, refs, pack: content.subarray(headerEnd + 2) } };
}
