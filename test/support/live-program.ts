import { spawn } from "node:child_process";
import type { CliResult, Sandbox } from "./cli.ts";
import { endProcessesOf } from "./marked-processes.ts";

/** The program as a process of its own beside the test, to be signalled and waited for. */
export interface LiveProgram extends AsyncDisposable {
  readonly pid: number;
  /** What it has said so far. */
  readonly printed: { stdout: string; stderr: string };
  /** Resolves when it has ended and its output is complete. */
  readonly ended: Promise<CliResult>;
  /** Whether there was a process left to send it to. */
  kill(signal: NodeJS.Signals): boolean;
}

/** Starts it; with `await using` neither it nor its agents outlive the test. */
export function startProgram(
  sandbox: Sandbox,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): LiveProgram {
  const child = spawn(process.execPath, [sandbox.program, ...args], {
    cwd: sandbox.repository.path,
    env: { ...sandbox.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (printed.stderr += text));
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, ...printed }));
  });
  return {
    pid: child.pid ?? 0,
    printed,
    ended,
    kill: (signal) => child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
      endProcessesOf(sandbox.home);
    },
  };
}
