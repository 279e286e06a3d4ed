import type { WriteStream } from "node:tty";

/** One of the two streams that people and programs read. */
export interface Output {
  readonly isTerminal: boolean;
  /** Characters that fit on a line. */
  columns(): number;
  /** Never throws, and is quiet once nobody reads any more. */
  write(text: string | Uint8Array): void;
}

/** Where the command line reads and writes. */
export interface Terminal {
  /** Results. */
  readonly stdout: Output;
  /** Everything else. */
  readonly stderr: Output;
  /** All of standard input, to its end; `null` where a person sits at it. */
  readInput(bytesMax: number): Promise<Buffer | "too-much" | null>;
  /** Whether a person can be asked. */
  readonly canAsk: boolean;
  /** Asks on stderr; true for yes. No answer is no. */
  ask(question: string, signal: AbortSignal): Promise<boolean>;
  /** Aborted once nobody reads the results any more. */
  readonly unread: AbortSignal;
}

const COLUMNS_BY_DEFAULT = 80;

/** The terminal, files or pipes that this process was started with. */
export function openTerminal(): Terminal {
  const unread = new AbortController();
  const stdout = openOutput(process.stdout, () => unread.abort());
  const stderr = openOutput(process.stderr, () => undefined);
  const canAsk = process.stdin.isTTY && stderr.isTerminal;
  return { stdout, stderr, readInput, canAsk, ask, unread: unread.signal };
}

function openOutput(stream: NodeJS.WriteStream, onClosed: () => void): Output {
  let isOpen = true;
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough (`| head`), or a terminal that was closed.
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
    isOpen = false;
    onClosed();
  });
  return {
    isTerminal: stream.isTTY,
    columns: () => (stream as Partial<WriteStream>).columns ?? COLUMNS_BY_DEFAULT,
    write: (text) => {
      if (isOpen) stream.write(text);
    },
  };
}

async function readInput(bytesMax: number): Promise<Buffer | "too-much" | null> {
  if (process.stdin.isTTY) return null;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) return "too-much";
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function ask(question: string, signal: AbortSignal): Promise<boolean> {
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    lines.once("SIGINT", () => {
      process.stderr.write("\n");
      lines.close();
    });
    const closed = new Promise<string>((resolve) => lines.once("close", () => resolve("")));
    const answer = await Promise.race([lines.question(question, { signal }), closed]);
    return /^y(?:es)?$/i.test(answer.trim());
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  } finally {
    lines.close();
  }
}
