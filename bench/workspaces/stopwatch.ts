import { runProcess } from "../../src/lib/process.ts";
import type { LastingWorkspace } from "../../src/workspaces/lasting-workspace.ts";

/** What was measured, by name: milliseconds, or what the name says. */
export type Samples = Readonly<Record<string, readonly number[]>>;

export interface Stopwatch {
  readonly samples: Samples;
  /** Measures how long something takes. */
  timed<T>(name: string, act: () => Promise<T>): Promise<T>;
  note(name: string, value: number): void;
}

export function startStopwatch(): Stopwatch {
  const samples: Record<string, number[]> = {};
  const note = (name: string, value: number): void => void (samples[name] ??= []).push(value);
  return {
    samples,
    note,
    timed: async (name, act) => {
      const begun = performance.now();
      const answer = await act();
      note(name, performance.now() - begun);
      return answer;
    },
  };
}

const TIMEOUT_MS = 120_000;
const OUTPUT_BYTES_MAX = 65_536;

/** Runs a command of this machine, answers its output without the white space around it. */
export async function runBare(
  command: readonly [string, ...string[]],
  { cwd = "/", env }: { readonly cwd?: string; readonly env: Readonly<Record<string, string>> },
): Promise<string> {
  const means = { cwd, env, timeoutMs: TIMEOUT_MS, outputBytesMax: OUTPUT_BYTES_MAX };
  const { ending, stdout, stderr } = await runProcess({ command, ...means });
  if (ending.kind === "exited" && ending.code === 0) return stdout.bytes.toString().trim();
  throw new Error(`${command.join(" ")}: ${stderr.bytes.toString()}`);
}

export async function succeed(workspace: LastingWorkspace, command = "true"): Promise<void> {
  const { ending, stderr } = await workspace.exec({
    command: command === "true" ? ["true"] : command,
    timeoutMs: TIMEOUT_MS,
  });
  if (ending.kind === "exited" && ending.code === 0) return;
  throw new Error(`${command}: ${JSON.stringify(ending)} ${stderr.text}`);
}

export function valueOf<T>(
  result: { ok: true; value: T } | { ok: false; failure: unknown } | undefined,
): T {
  if (result?.ok === true) return result.value;
  throw new Error(JSON.stringify(result?.failure));
}
