/**
 * The language of the guest's agent: see `guest/agent.h`. A frame is length, channel, type and
 * payload, numbers little-endian. What goes to the guest is escaped, so that the flag stands for
 * nothing but the beginning of a conversation.
 */
export interface Frame {
  readonly channel: number;
  readonly type: string;
  readonly payload: Buffer;
}

const FLAG = 0x7e;
const ESCAPE = 0x7d;
const ESCAPE_BIT = 0x20;
const HEADER_BYTES = 9;

/** The guest sends no more at once; whoever claims more is not our agent. */
const FRAME_BYTES_MAX = 1024 * 1024;

/** What the guest takes of a file's or a command's input before it acknowledges any. */
export const INPUT_WINDOW_BYTES = 64 * 1024;

/** The longest request that the guest takes. */
export const REQUEST_BYTES_MAX = 4 * 1024 * 1024;

export function packFrame({ channel, type, payload }: Frame): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(payload.length, 0);
  header.writeUInt32LE(channel, 4);
  header.write(type, 8, 1, "latin1");
  return escape(Buffer.concat([header, payload]));
}

/** Begins a conversation: the guest forgets whatever was said before, and echoes the nonce. */
export function packHello(nonce: Buffer): Buffer {
  return Buffer.concat([Buffer.from([FLAG]), packFrame({ channel: 0, type: "H", payload: nonce })]);
}

function escape(bytes: Buffer): Buffer {
  let count = 0;
  for (const byte of bytes) if (byte === FLAG || byte === ESCAPE) count += 1;
  if (count === 0) return bytes;
  const escaped = Buffer.allocUnsafe(bytes.length + count);
  let at = 0;
  for (const byte of bytes) {
    const isSpecial = byte === FLAG || byte === ESCAPE;
    if (isSpecial) escaped[at++] = ESCAPE;
    escaped[at++] = isSpecial ? byte ^ ESCAPE_BIT : byte;
  }
  return escaped;
}

/** Cuts what comes from the guest into frames. Throws where it cannot be the agent's. */
export function makeFrameReader(onFrame: (frame: Frame) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= HEADER_BYTES) {
      const length = rest.readUInt32LE(at);
      if (length > FRAME_BYTES_MAX) throw new Error(`the guest sent a frame of ${length} bytes`);
      if (rest.length - at < HEADER_BYTES + length) break;
      const channel = rest.readUInt32LE(at + 4);
      const type = String.fromCharCode(rest[at + 8] ?? 0);
      const payload = rest.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
      at += HEADER_BYTES + length;
      onFrame({ channel, type, payload });
    }
    rest = rest.subarray(at);
  };
}

/** Fields of a request. */
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** What follows a NUL would be lost: callers refuse such strings before. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}
