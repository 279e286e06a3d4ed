const BLOCK_BYTES = 512;

export interface TarEntry {
  /** Without a slash at the start. */
  readonly path: string;
  /** A folder where it is left out. */
  readonly content?: string | Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A tar archive of a few small entries, as Docker Engine takes it. */
export function tarOf(entries: readonly TarEntry[]): Buffer {
  const blocks = entries.flatMap((entry) => {
    const content = Buffer.from(entry.content ?? "");
    const padding = Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES);
    return [headerOf(entry, content.length), content, padding];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)]);
}

function headerOf({ path, content, mode, uid, gid }: TarEntry, bytes: number): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, length: number): void => {
    header.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  };
  header.write(path, 0, 100);
  octal(mode, 100, 8);
  octal(uid, 108, 8);
  octal(gid, 116, 8);
  octal(bytes, 124, 12);
  octal(0, 136, 12);
  header.write("        ", 148, "latin1");
  header.write(content === undefined ? "5" : "0", 156, "latin1");
  header.write("ustar\u000000", 257, "latin1");
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}
