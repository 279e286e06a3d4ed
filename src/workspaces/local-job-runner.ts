import { openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomically } from "../lib/atomic-file.ts";
import { processIdentity, runProcess } from "../lib/process.ts";
import { JOB_FILES, type JobOrder } from "./local-job-order.ts";

/**
 * The program between a background command and nobody: it outlives Mycelium, keeps the command's
 * output in files, holds it to its time and writes down how it ended.
 */
const order = JSON.parse(readFileSync(0, "utf8")) as JobOrder;
const fileOf = (name: keyof typeof JOB_FILES): string => join(order.folder, JOB_FILES[name]);

const streams = { stdout: openStream("stdout"), stderr: openStream("stderr") };
const { pid } = process;
await writeFileAtomically(
  fileOf("runner"),
  JSON.stringify({ pid, identity: processIdentity(pid) }),
);
const { ending } = await runProcess({
  command: order.command,
  cwd: order.cwd,
  env: order.env,
  ...(order.stdin !== null && { stdin: Buffer.from(order.stdin, "base64") }),
  timeoutMs: order.timeoutMs,
  outputBytesMax: 0,
  onOutput: (stream, chunk) => streams[stream].push(chunk),
  marker: order.marker,
});
streams.stdout.close();
streams.stderr.close();
await writeFileAtomically(fileOf("ending"), JSON.stringify(ending));

interface KeptStream {
  push(chunk: Buffer): void;
  close(): void;
}

/** Written as it comes, so that a reader sees all that there is; a full disk loses the rest only. */
function openStream(name: "stdout" | "stderr"): KeptStream {
  const file = openSync(fileOf(name), "wx", 0o600);
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
      try {
        write(kept);
      } catch {
        lost += kept.length;
        left = 0;
      }
    },
    close: () => {
      if (lost > 0) write(Buffer.from(`\n[mycelium: ${lost} bytes more were not kept]\n`));
    },
  };
}
