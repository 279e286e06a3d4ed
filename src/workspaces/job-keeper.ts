import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomically } from "../lib/atomic-file.ts";
import { processIdentity } from "../lib/process.ts";
import { JOB_FILES, type JobOrder } from "./job-order.ts";
import type { ExecEnding } from "./workspace.ts";

type Listener = (stream: "stdout" | "stderr", chunk: Buffer) => void;

/**
 * What every runner of a background command does: writes down who it is, keeps the command's output
 * in files as it comes, and writes down how it ended.
 */
export async function keepJob(
  order: JobOrder,
  run: (onOutput: Listener, stdin: Buffer | null) => Promise<{ readonly ending: ExecEnding }>,
): Promise<void> {
  const streams = { stdout: openStream(order, "stdout"), stderr: openStream(order, "stderr") };
  const { pid } = process;
  const runner = { pid, identity: processIdentity(pid) };
  await writeFileAtomically(join(order.folder, JOB_FILES.runner), JSON.stringify(runner));
  const stdin = order.stdin === null ? null : Buffer.from(order.stdin, "base64");
  const { ending } = await run((stream, chunk) => streams[stream].push(chunk), stdin);
  streams.stdout.close();
  streams.stderr.close();
  await writeFileAtomically(join(order.folder, JOB_FILES.ending), JSON.stringify(ending));
}

interface KeptStream {
  push(chunk: Buffer): void;
  close(): void;
}

/** Written as it comes, so that a reader sees all that there is; a full disk loses the rest only. */
function openStream(order: JobOrder, name: "stdout" | "stderr"): KeptStream {
  const file = openSync(join(order.folder, JOB_FILES[name]), "wx", 0o600);
  let left = order.outputBytesMax;
  let lost = 0;
  const write = (bytes: Buffer): void => {
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
  };
  return {
    push: (chunk) => {
      const kept = chunk.subarray(0, left);
      lost += chunk.length - kept.length;
      left -= kept.length;
      if (tries(() => write(kept))) return;
      lost += kept.length;
      left = 0;
    },
    close: () => {
      const note = `\n[mycelium: ${lost} bytes more were not kept]\n`;
      if (lost > 0) tries(() => write(Buffer.from(note)));
    },
  };
}

/** False where the disk refuses. */
function tries(act: () => void): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}
