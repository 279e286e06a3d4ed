import type { Terminal } from "../../src/cli/terminal.ts";

export interface CapturedTerminal extends Terminal {
  readonly printed: { stdout: string; stderr: string };
  /** What a person was asked, in order. */
  readonly questions: readonly string[];
}

export interface CapturedTerminalOptions {
  readonly isTerminal?: boolean;
  readonly columns?: number;
  /** What a person answers; nobody is there where it is left out. */
  readonly answer?: boolean;
}

/** A terminal that keeps what is printed. */
export function captureTerminal(options: CapturedTerminalOptions = {}): CapturedTerminal {
  const { isTerminal = false, columns = 80, answer } = options;
  const printed = { stdout: "", stderr: "" };
  const questions: string[] = [];
  const output = (name: "stdout" | "stderr"): Terminal["stdout"] => ({
    isTerminal,
    columns: () => columns,
    write: (text) => {
      printed[name] += typeof text === "string" ? text : Buffer.from(text).toString();
    },
  });
  return {
    printed,
    questions,
    stdout: output("stdout"),
    stderr: output("stderr"),
    readInput: () => Promise.resolve(null),
    canAsk: answer !== undefined,
    ask: (question) => {
      questions.push(question);
      return Promise.resolve(answer ?? false);
    },
    unread: new AbortController().signal,
  };
}
