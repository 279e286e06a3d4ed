import type { z } from "zod";
import { environmentOfProcess } from "../config.ts";
import { perform, type Operation, type OperationContext } from "../control/operation.ts";
import { systemClock } from "../lib/clock.ts";
import type { Globals } from "./globals.ts";
import { makeStyle, type Style } from "./render/style.ts";
import { jsonLine } from "./render/terminal-text.ts";
import { reportError } from "./report-error.ts";
import { listenForSignals } from "./signals.ts";
import type { Terminal } from "./terminal.ts";

/** What a command works with. */
export interface Session {
  readonly globals: Globals;
  readonly terminal: Terminal;
  /** For results on stdout, and for everything else on stderr. */
  readonly style: Style;
  readonly errorStyle: Style;
  readonly signal: AbortSignal;
  /** What operations are given, for faces that perform them by themselves. */
  readonly context: OperationContext;
  perform<I extends z.ZodType, O extends z.ZodType>(
    operation: Operation<I, O>,
    input: unknown,
    listeners?: Partial<
      Pick<OperationContext, "onEvent" | "onStart" | "onOutput" | "onProgress" | "signal">
    >,
  ): Promise<z.output<O>>;
  /** Prints a result: as an object with `ok`, or for people. */
  answer(result: object, render: (style: Style) => string): void;
}

export interface SessionOptions {
  readonly globals: Globals;
  readonly terminal: Terminal;
  readonly version: string;
}

/** Whoever has this machine's account and a command line. */
const PERSON = { id: "person", kind: "person" } as const;

const nobody = (): void => undefined;

/** Does a command's work with everything that it needs, and answers the exit code. */
export async function openSession(
  options: SessionOptions,
  work: (session: Session) => Promise<number>,
): Promise<number> {
  const { globals, terminal } = options;
  const { json, verbose } = globals;
  using interruption = listenForSignals(systemClock, () =>
    terminal.stderr.write("\nStopping; once more stops at once.\n"),
  );
  try {
    const exitCode = await work(makeSession(options, interruption.signal));
    return interruption.exitCode() ?? exitCode;
  } catch (error) {
    const exitCode = reportError(error, { json, verbose, terminal });
    return interruption.exitCode() ?? exitCode;
  }
}

function makeSession(options: SessionOptions, signal: AbortSignal): Session {
  const { globals, terminal, version } = options;
  const environment = environmentOfProcess({ home: globals.home });
  const wantsColor = globals.color && !environment.noColor;
  const context: OperationContext = {
    session: PERSON,
    environment,
    cwd: process.cwd(),
    configFile: globals.config,
    clock: systemClock,
    signal,
    onEvent: nobody,
    onStart: nobody,
    version,
  };
  const style = makeStyle(wantsColor && terminal.stdout.isTerminal);
  return {
    globals,
    terminal,
    style,
    errorStyle: makeStyle(wantsColor && terminal.stderr.isTerminal),
    signal,
    context,
    perform: (operation, input, listeners = {}) =>
      perform(operation, { ...context, ...listeners }, input),
    answer: (result, render) => {
      const text = globals.json ? jsonLine({ ok: true, ...result }) : render(style);
      terminal.stdout.write(`${text}\n`);
    },
  };
}
