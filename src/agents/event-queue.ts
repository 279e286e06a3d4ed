import { addUsage, type Usage } from "../domain/usage.ts";
import type { AgentEvent } from "./agent.ts";

/** Events between a program that does not wait and a reader that may be slow. */
export interface EventQueue {
  pushText(stream: "stdout" | "stderr", text: string): void;
  pushUsage(usage: Usage): void;
  /** Lets the reader come to an end once it has read what is there. */
  close(): void;
  /** For one reader. */
  events(): AsyncGenerator<AgentEvent, void>;
}

/** Unread text beyond either of these is dropped, until the reader has caught up. */
export const QUEUED_TEXT_BYTES_MAX = 1_048_576;
export const QUEUED_EVENTS_MAX = 1_024;

/**
 * Holds a bounded number of events. Text that does not fit is dropped, and where it is missing one
 * text event says how many bytes that were; usage is never dropped, but added up where it does not
 * fit.
 */
export function makeEventQueue(): EventQueue {
  const queue: AgentEvent[] = [];
  let textBytes = 0;
  let droppedBytes = 0;
  let isClosed = false;
  let wake: (() => void) | null = null;

  const push = (event: AgentEvent): void => {
    queue.push(event);
    wake?.();
  };
  /** What was dropped stands behind all that was queued before it, so it is told when that is read. */
  const take = (): AgentEvent | undefined => {
    const event = queue.shift();
    if (event?.kind === "text") textBytes -= Buffer.byteLength(event.text);
    if (event !== undefined || droppedBytes === 0) return event;
    const text = `[${droppedBytes} bytes of output were dropped: they came faster than they were read]\n`;
    droppedBytes = 0;
    return { kind: "text", stream: "stderr", text };
  };
  return {
    pushText(stream, text) {
      const bytes = Buffer.byteLength(text);
      const isFull = textBytes + bytes > QUEUED_TEXT_BYTES_MAX || queue.length >= QUEUED_EVENTS_MAX;
      if (isFull || droppedBytes > 0) {
        droppedBytes += bytes;
        return;
      }
      textBytes += bytes;
      push({ kind: "text", stream, text });
    },
    pushUsage(usage) {
      const last = queue.at(-1);
      if (queue.length < QUEUED_EVENTS_MAX || last?.kind !== "usage")
        push({ kind: "usage", usage });
      else queue[queue.length - 1] = { kind: "usage", usage: addUsage(last.usage, usage) };
    },
    close() {
      isClosed = true;
      wake?.();
    },
    async *events() {
      for (;;) {
        const event = take();
        if (event !== undefined) yield event;
        else if (isClosed) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}
