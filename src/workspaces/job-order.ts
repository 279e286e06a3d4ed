/** What the runner of a background command reads from its standard input, whatever the kind. */
export interface JobOrder {
  readonly folder: string;
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Base64. */
  readonly stdin: string | null;
  readonly timeoutMs: number;
  /** Of each stream; what comes beyond is counted and not kept. */
  readonly outputBytesMax: number;
}

export interface LocalJobOrder extends JobOrder {
  readonly cwd: string;
  /** `NAME=value` in the environment of all that the command starts, and of nothing else. */
  readonly marker: string;
}

/** The files in a job's folder. */
export const JOB_FILES = {
  /** `{pid, identity}` of the runner, written before the command starts. */
  runner: "runner.json",
  /** An `ExecEnding`, written last. */
  ending: "ending.json",
  stdout: "stdout",
  stderr: "stderr",
} as const;
