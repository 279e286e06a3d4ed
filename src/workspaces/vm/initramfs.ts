/** One thing in an archive. */
export interface ArchiveEntry {
  readonly path: string;
  /** Kind and permissions, as `stat` tells them. */
  readonly mode: number;
  readonly content?: Buffer;
  /** Major and minor number of a device. */
  readonly device?: readonly [number, number];
}

export const FOLDER = 0o040755;
export const PROGRAM = 0o100755;
export const PLAIN_FILE = 0o100644;
export const CHARACTER_DEVICE = 0o020600;

const TRAILER = "TRAILER!!!";

/** An archive as the kernel reads it at its start: cpio in the "newc" format, owned by root. */
export function packInitramfs(entries: readonly ArchiveEntry[]): Buffer {
  const all = [...entries, { path: TRAILER, mode: 0 }];
  return Buffer.concat(all.flatMap((entry, index) => packEntry(entry, index + 1)));
}

function packEntry({ path, mode, content, device }: ArchiveEntry, inode: number): Buffer[] {
  const data = content ?? Buffer.alloc(0);
  const name = Buffer.from(`${path}\0`);
  const [major, minor] = device ?? [0, 0];
  const links = path === TRAILER ? 0 : 1;
  const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, major, minor, name.length, 0];
  const numbers = fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  const header = Buffer.concat([Buffer.from(`070701${numbers}`), name]);
  return [header, padding(header.length), data, padding(data.length)];
}

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
