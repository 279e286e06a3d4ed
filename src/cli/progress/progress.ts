import type { OperationContext } from "../../control/operation.ts";
import { describeEvent } from "../../domain/describe-event.ts";
import type { EventType, RecordedEvent } from "../../domain/event.ts";
import { systemClock } from "../../lib/clock.ts";
import { offsetText, paintText, subjectOf } from "../render/events.ts";
import type { Style } from "../render/style.ts";
import { plainLine } from "../render/terminal-text.ts";
import type { Session } from "../session.ts";
import { advance, NO_PROGRESS, standing, type ProgressState } from "./progress-state.ts";
import { statusLine } from "./status-line.ts";

export interface Progress {
  readonly listeners: Pick<OperationContext, "onEvent" | "onStart">;
  /** Takes the status line away. */
  close(): Promise<void>;
}

/** How often the times in the status line are brought up to date. */
const REDRAW_MS = 250;

/**
 * A run's progress on stderr: lines of what is finished and, on a terminal, one line below them that
 * is written anew again and again.
 */
export function openProgress(
  session: Pick<Session, "terminal" | "errorStyle" | "globals">,
): Progress {
  const { terminal, errorStyle, globals } = session;
  const out = terminal.stderr;
  const clock = systemClock;
  const startedMs = clock.monotonic();
  const closing = new AbortController();
  let state: ProgressState = NO_PROGRESS;
  const erase = out.isTerminal ? "\r\u001b[2K" : "";
  const draw = (): void => {
    if (!out.isTerminal || closing.signal.aborted || state.total === 0) return;
    const times = { startedMs, nowMs: clock.monotonic() };
    out.write(erase + errorStyle.dim(statusLine(state, times, out.columns() - 1)));
  };
  const drawing = (async () => {
    while (out.isTerminal && !closing.signal.aborted) {
      draw();
      await clock.sleep(REDRAW_MS, closing.signal);
    }
  })();
  return {
    listeners: {
      onStart: (report) => {
        state = standing(report);
      },
      onEvent: (event) => {
        const nowMs = clock.monotonic();
        state = advance(state, event, nowMs);
        const line = progressLine(event, nowMs - startedMs, errorStyle, globals.verbose);
        if (line === null) return;
        out.write(`${erase}${line}\n`);
        draw();
      },
    },
    close: async () => {
      closing.abort();
      await drawing;
      out.write(erase);
    },
  };
}

/** Told by others, or too small to be told: the status line and `-v` have them. */
const LEFT_OUT: ReadonlySet<EventType> = new Set([
  "agent.ended",
  "attempt.started",
  "attempt.ended",
  "landing.proposed",
  "output.truncated",
]);

function progressLine(
  event: RecordedEvent,
  elapsedMs: number,
  style: Style,
  isVerbose: boolean,
): string | null {
  const text = describeEvent(event);
  if (text === null || (!isVerbose && isSmall(event))) return null;
  const time = style.dim(offsetText(elapsedMs).padStart(6));
  const subject = subjectOf(event.task_id ?? null, null);
  return `${time}  ${subject}${paintText(style, event.type, plainLine(text))}`;
}

function isSmall({ type, payload }: RecordedEvent): boolean {
  if (type === "gate.decided") return payload["answer"] === "pass";
  // A landing names all of its tasks in one line.
  if (type === "task.completed") return payload["commit"] !== null;
  return LEFT_OUT.has(type);
}
