import { makeOutputTail, type OutputTail } from "../../lib/output-tail.ts";
import type { ExecOutput, ExecResult } from "../workspace.ts";

/** The two streams of a command while it runs. */
export interface ExecTails {
  readonly stdout: OutputTail;
  readonly stderr: OutputTail;
}

export function makeExecTails(bytesMax: number): ExecTails {
  return { stdout: makeOutputTail(bytesMax), stderr: makeOutputTail(bytesMax) };
}

/** As UTF-8, without the rest bytes of a character that was cut through where something was dropped. */
export function outputOf(tail: OutputTail): ExecOutput {
  const { bytes, totalBytes, droppedBytes } = tail.read();
  let start = 0;
  if (droppedBytes > 0) while (start < 3 && isContinuation(bytes[start])) start += 1;
  return { text: bytes.toString("utf8", start), totalBytes, droppedBytes };
}

export function unstartable(message: string, durationMs: number): ExecResult {
  const nothing: ExecOutput = { text: "", totalBytes: 0, droppedBytes: 0 };
  const ending = { kind: "unstartable", message } as const;
  return { ending, stdout: nothing, stderr: nothing, durationMs };
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0b1100_0000) === 0b1000_0000;
}
