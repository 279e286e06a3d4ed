/** The end of a stream, with a count of all that went by. */
export interface OutputTail {
  push(chunk: Buffer): void;
  read(): { readonly bytes: Buffer; readonly totalBytes: number; readonly droppedBytes: number };
}

const FIRST_CAPACITY_BYTES = 4096;

/**
 * Keeps the last `bytesMax` bytes in a ring that grows by need and never beyond that, so that a
 * flood costs one copy of each byte and no memory.
 */
export function makeOutputTail(bytesMax: number): OutputTail {
  let ring = Buffer.allocUnsafe(Math.min(bytesMax, FIRST_CAPACITY_BYTES));
  let kept = 0;
  /** Where the next byte goes. */
  let head = 0;
  let totalBytes = 0;

  function inOrder(): Buffer {
    const start = (head - kept + ring.length) % Math.max(ring.length, 1);
    const first = ring.subarray(start, Math.min(start + kept, ring.length));
    return Buffer.concat([first, ring.subarray(0, kept - first.length)]);
  }

  function grow(needed: number): void {
    if (needed <= ring.length || ring.length === bytesMax) return;
    const larger = Buffer.allocUnsafe(Math.min(bytesMax, Math.max(needed, ring.length * 2)));
    inOrder().copy(larger);
    ring = larger;
    head = kept % ring.length;
  }

  return {
    push(chunk) {
      totalBytes += chunk.length;
      const end = chunk.length > bytesMax ? chunk.subarray(chunk.length - bytesMax) : chunk;
      if (end.length === 0 || bytesMax === 0) return;
      grow(kept + end.length);
      const fits = Math.min(end.length, ring.length - head);
      end.copy(ring, head, 0, fits);
      end.copy(ring, 0, fits);
      head = (head + end.length) % ring.length;
      kept = Math.min(kept + end.length, ring.length);
    },
    read: () => ({ bytes: inOrder(), totalBytes, droppedBytes: totalBytes - kept }),
  };
}
