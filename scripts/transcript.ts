import { styleText } from "node:util";
import { runProcess, type ProcessResult } from "../src/lib/process.ts";

/** Commands as a person would type them, with what they print, for people to read along. */
export interface Transcript {
  readonly heading: (text: string) => void;
  readonly say: (text: string) => void;
  /** Shows a command line and its output as it comes. Throws where it does not exit with 0. */
  readonly show: (command: string) => Promise<string>;
  /** The same without a word, for looking at what came out. */
  readonly ask: (command: string) => Promise<string>;
  /** Tells whether a promise was kept. Broken ones are counted, and the story goes on. */
  readonly promise: (what: string, isKept: boolean) => void;
  readonly brokenPromises: () => number;
}

export interface TranscriptOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const OUTPUT_BYTES_MAX = 1_000_000;

export function openTranscript(options: TranscriptOptions): Transcript {
  let broken = 0;
  return {
    heading: (text) => write(`${paint("bold", text)}\n\n`),
    say: (text) => write(`${text}\n\n`),
    show: async (command) => {
      write(`${paint("cyan", `$ ${command}`)}\n`);
      const result = await run(options, command, (chunk) => process.stdout.write(chunk));
      write("\n");
      return requireSuccess(command, result);
    },
    ask: async (command) => requireSuccess(command, await run(options, command)),
    promise: (what, isKept) => {
      if (!isKept) broken += 1;
      write(`${isKept ? paint("green", "✓") : paint("red", "✗ NOT TRUE:")} ${what}\n`);
    },
    brokenPromises: () => broken,
  };
}

/** Aborted when the person at the terminal has seen enough, or whoever started this has. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop.abort());
  return stop.signal;
}

function run(
  { cwd, env, timeoutMs, signal }: TranscriptOptions,
  command: string,
  onChunk?: (chunk: Buffer) => void,
): Promise<ProcessResult> {
  return runProcess({
    command: ["/bin/sh", "-c", command],
    cwd,
    env,
    timeoutMs,
    signal,
    outputBytesMax: OUTPUT_BYTES_MAX,
    ...(onChunk !== undefined && { onOutput: (_, chunk) => onChunk(chunk) }),
  });
}

function requireSuccess(command: string, { ending, stdout, stderr }: ProcessResult): string {
  if (ending.kind === "exited" && ending.code === 0) return stdout.bytes.toString();
  const why = ending.kind === "exited" ? `exit code ${ending.code}` : ending.kind;
  throw new Error(`\`${command}\` came to ${why}\n${stderr.bytes.toString()}`);
}

function paint(style: "bold" | "cyan" | "green" | "red", text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

function write(text: string): void {
  process.stdout.write(text);
}
