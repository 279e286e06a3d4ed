import type { Clock } from "../lib/clock.ts";

export interface Interruption extends Disposable {
  /** Aborted by the first signal, with its name as the reason. */
  readonly signal: AbortSignal;
  /** 130 or 143 once there was one. */
  exitCode(): number | null;
}

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 143 } as const;

type SignalName = keyof typeof EXIT_CODES;

/**
 * Signals that come this soon are the same one: a terminal sends Ctrl-C to every process in it, and
 * a process that stands in front of this one passes it on.
 */
const SAME_SIGNAL_MS = 500;

/** The first signal asks for an orderly stop; the second one ends the process at once. */
export function listenForSignals(clock: Clock, onFirst: (name: string) => void): Interruption {
  const controller = new AbortController();
  let received: { readonly name: SignalName; readonly atMs: number } | null = null;
  const onSignal = (name: SignalName): void => {
    const nowMs = clock.monotonic();
    if (received === null) {
      received = { name, atMs: nowMs };
      // Of a terminal that was closed nobody is left to tell the difference.
      controller.abort(name === "SIGHUP" ? "SIGTERM" : name);
      onFirst(name);
    } else if (nowMs - received.atMs > SAME_SIGNAL_MS) {
      process.exit(EXIT_CODES[name]);
    }
  };
  const names = Object.keys(EXIT_CODES) as readonly SignalName[];
  for (const name of names) process.on(name, onSignal);
  return {
    signal: controller.signal,
    exitCode: () => (received === null ? null : EXIT_CODES[received.name]),
    [Symbol.dispose]: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
}
