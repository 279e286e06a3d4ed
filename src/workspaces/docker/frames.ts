/** Parts of the agent's language; see `guest-agent.ts`. */
export type Part = string | number | Buffer;

const FRAME_HEADER_BYTES = 5;
const ENGINE_HEADER_BYTES = 8;

export function encodeFrame(letter: string, rest: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.write(letter, 0, 1, "latin1");
  header.writeUInt32BE(rest.length, 1);
  return Buffer.concat([header, rest]);
}

export function encodeList(letter: string, parts: readonly Part[]): Buffer {
  const pieces = parts.flatMap((part) => {
    const bytes = Buffer.isBuffer(part) ? part : Buffer.from(String(part));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return [length, bytes];
  });
  return encodeFrame(letter, Buffer.concat(pieces));
}

export function decodeList(rest: Buffer): readonly string[] {
  const parts: string[] = [];
  let at = 0;
  while (at + 4 <= rest.length) {
    const end = at + 4 + rest.readUInt32BE(at);
    parts.push(rest.toString("utf8", at + 4, end));
    at = end;
  }
  return parts;
}

/** Takes the agent's frames out of pieces of any size. */
export function frameReader(
  onFrame: (letter: string, rest: Buffer) => void,
): (piece: Buffer) => void {
  return blockReader(FRAME_HEADER_BYTES, (header, body) =>
    onFrame(String.fromCharCode(header[0] ?? 0), body),
  );
}

/** Takes the two streams of a command apart that the engine sends as one. */
export function engineReader(
  onPiece: (stream: "stdout" | "stderr", piece: Buffer) => void,
): (piece: Buffer) => void {
  return blockReader(ENGINE_HEADER_BYTES, (header, body) =>
    onPiece(header[0] === 2 ? "stderr" : "stdout", body),
  );
}

/** Blocks of a header that ends with the length of what follows. */
function blockReader(
  headerBytes: number,
  onBlock: (header: Buffer, body: Buffer) => void,
): (piece: Buffer) => void {
  let pieces: Buffer[] = [];
  let held = 0;
  let wanted = headerBytes;
  return (piece) => {
    pieces.push(piece);
    held += piece.length;
    if (held < wanted) return;
    let rest = pieces.length === 1 ? piece : Buffer.concat(pieces);
    wanted = headerBytes;
    while (rest.length >= headerBytes) {
      const end = headerBytes + rest.readUInt32BE(headerBytes - 4);
      if (rest.length < end) {
        wanted = end;
        break;
      }
      onBlock(rest.subarray(0, headerBytes), rest.subarray(headerBytes, end));
      rest = rest.subarray(end);
    }
    pieces = rest.length === 0 ? [] : [rest];
    held = rest.length;
  };
}
