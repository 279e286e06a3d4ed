import { createHash, type Hash } from "node:crypto";
import type { GateVerdict } from "../domain/gate.ts";
import { withoutFirstWord } from "../lib/end-of-text.ts";
import type { ExecEnding, Workspace } from "../workspaces/workspace.ts";

export interface CommandGate {
  readonly gate: "bootstrap" | "lint" | "fast" | "doctor";
  readonly command: string;
  readonly timeoutMs: number;
}

export interface CommandGateRequest extends CommandGate {
  readonly workspace: Workspace;
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string>>;
}

/** How much of a gate's output goes into verdicts, events and the next try's feedback. */
const OUTPUT_TAIL_BYTES_MAX = 12_000;

/** The shell's own codes for a program that it could not execute or find. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;

/**
 * Runs a command in a workspace and turns its end into an answer. Only exit code 0 is a pass; a
 * program that is missing or was killed from outside gave no verdict at all.
 */
export async function runCommandGate(request: CommandGateRequest): Promise<GateVerdict> {
  const digest = createHash("sha256");
  const tail = makeTail(digest);
  const result = await request.workspace.exec({
    command: request.command,
    timeoutMs: request.timeoutMs,
    env: request.env,
    signal: request.signal,
    outputBytesMax: 0,
    onOutput: (_stream, chunk) => tail.add(chunk),
  });
  return {
    gate: request.gate,
    ...judge(request, result.ending),
    command: request.command,
    durationMs: Math.round(result.durationMs),
    logDigest: digest.digest("hex"),
    outputTail: tail.text(),
  };
}

function judge(
  gate: CommandGate,
  ending: ExecEnding,
): Pick<GateVerdict, "answer" | "reason" | "exitCode"> {
  switch (ending.kind) {
    case "exited":
      return judgeExit(gate, ending.code);
    case "timed-out": {
      const seconds = Math.round(gate.timeoutMs / 1000);
      return { answer: "fail", reason: `no end within ${seconds} s`, exitCode: null };
    }
    case "signalled":
      return {
        answer: "could-not-run",
        reason: `was killed by ${ending.signal}`,
        exitCode: null,
      };
    case "aborted":
      return { answer: "could-not-run", reason: "was stopped with the run", exitCode: null };
    case "unstartable":
      return { answer: "could-not-run", reason: ending.message, exitCode: null };
  }
}

function judgeExit(
  gate: CommandGate,
  code: number,
): Pick<GateVerdict, "answer" | "reason" | "exitCode"> {
  if (code === 0) return { answer: "pass", reason: "exit code 0", exitCode: 0 };
  if (code === NOT_EXECUTABLE || code === NOT_FOUND) {
    const what = code === NOT_FOUND ? "was not found" : "cannot be executed";
    return {
      answer: "could-not-run",
      reason: `a program of \`${gate.command}\` ${what} (exit code ${code})`,
      exitCode: code,
    };
  }
  return { answer: "fail", reason: `exit code ${code}`, exitCode: code };
}

/** Both streams as they came, digested whole, with the end kept. */
function makeTail(digest: Hash): { add(chunk: Buffer): void; text(): string } {
  let kept = Buffer.alloc(0);
  let dropped = false;
  return {
    add: (chunk) => {
      digest.update(chunk);
      const joined = Buffer.concat([kept, chunk.subarray(-OUTPUT_TAIL_BYTES_MAX)]);
      dropped ||= kept.length + chunk.length > OUTPUT_TAIL_BYTES_MAX;
      kept = joined.subarray(-OUTPUT_TAIL_BYTES_MAX);
    },
    text: () => {
      const text = kept.toString("utf8");
      return dropped ? `[…]\n${withoutFirstWord(text)}` : text;
    },
  };
}
