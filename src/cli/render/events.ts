import type { FollowOutput } from "../../control/operations/follow.ts";
import type { LogEvents, LogMatches, Timeline } from "../../control/operations/logs.ts";
import { describeEvent } from "../../domain/describe-event.ts";
import type { RecordedEvent } from "../../domain/event.ts";
import { countText, durationText } from "../../domain/words.ts";
import { dateText } from "./run-report.ts";
import { paintState, type Style } from "./style.ts";
import { cut, plainLine } from "./terminal-text.ts";

/** A line for one event, whatever its type. */
export function renderEvent(event: RecordedEvent, style: Style): string {
  const text = describeEvent(event) ?? detailOf(event);
  const subject = subjectOf(event.task_id ?? null, event.attempt ?? null);
  const time = style.dim(`${event.ts.slice(11, 23)}  ${String(event.seq).padStart(5)}`);
  return `${time}  ${event.type.padEnd(21)} ${subject}${paintEvent(style, event, plainLine(text))}`;
}

export function renderEvents({ events, has_older, run_id }: LogEvents, style: Style): string {
  if (events.length === 0) return `No event of run ${plainLine(run_id)} matches.`;
  const lines = events.map((event) => renderEvent(event, style));
  const first = events[0];
  const date = first === undefined ? "" : `, the first of ${dateText(first.ts)}`;
  const more = has_older ? `; older ones match too, --limit shows more` : "";
  return [
    style.dim(`${countText(events.length, "event")} of run ${plainLine(run_id)}${date}${more}`),
    ...lines,
  ].join("\n");
}

export function renderMatches({ matches, has_more, run_id }: LogMatches, style: Style): string {
  if (matches.length === 0) return `Nothing in run ${plainLine(run_id)} holds that text.`;
  const lines = matches.flatMap(({ event, field, excerpt }) => {
    const subject = subjectOf(event.task_id ?? null, event.attempt ?? null);
    const place = `${event.ts.slice(11, 23)}  ${String(event.seq).padStart(5)}`;
    return [
      `${style.dim(place)}  ${subject}${event.type} ${style.dim(plainLine(field))}`,
      `    ${plainLine(excerpt)}`,
    ];
  });
  if (has_more) lines.push(style.dim("There are more; --limit shows them."));
  return lines.join("\n");
}

export function renderTimeline({ entries, run_id, started_at }: Timeline, style: Style): string {
  const head = style.dim(`Run ${plainLine(run_id)}, started ${dateText(started_at)}`);
  const lines = entries.map((entry) => {
    const time = style.dim(offsetText(entry.at_ms).padStart(8));
    const subject = subjectOf(entry.task_id, entry.attempt);
    const isTold = entry.text.includes(durationText(entry.duration_ms ?? -1));
    const took =
      entry.duration_ms === null || isTold
        ? ""
        : style.dim(`  [${durationText(entry.duration_ms)}]`);
    return `${time}  ${subject}${paintText(style, entry.type, plainLine(entry.text))}${took}`;
  });
  return [head, ...lines].join("\n");
}

/** Why following a run ended. */
export function renderFollowEnd({ run_id, status, ended }: FollowOutput, style: Style): string {
  const run = plainLine(run_id);
  switch (ended) {
    case "run":
      return `Run ${run} is ${paintState(style, status, status)}; \`mycelium status ${run}\` shows more.`;
    case "process":
      return `The process of run ${run} is gone; \`mycelium resume ${run}\` goes on with it.`;
    case "signal":
      return `Run ${run} goes on; only the following has ended.`;
  }
}

/** `0:07`, `12:34`, `1:02:03`: since the start. */
export function offsetText(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  const padded = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = padded(seconds % 60);
  return hours > 0 ? `${hours}:${padded(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** Who an event is about, in front of what it says: `task 3#2: `. */
export function subjectOf(taskId: string | null, attempt: number | null): string {
  if (taskId === null) return "";
  return `${plainLine(taskId)}${attempt === null ? "" : `#${attempt}`}: `;
}

/** Characters of a payload that is shown as it is. */
const DETAIL_LENGTH_MAX = 200;

function detailOf({ type, payload }: RecordedEvent): string {
  const text = type === "agent.text" ? String(payload["text"]) : JSON.stringify(payload);
  return cut(plainLine(text).trim(), DETAIL_LENGTH_MAX);
}

function paintEvent(style: Style, event: RecordedEvent, text: string): string {
  if (event.type === "gate.decided")
    return paintState(style, String(event.payload["answer"]), text);
  return paintText(style, event.type, text);
}

const RED = /^(?:run|task)\.failed$|^budget\.block$|^landing\.rejected$/;
const YELLOW =
  /^(?:run\.paused|task\.(?:retried|sent_back|review_requested|skipped)|budget\.warn|manifest\.violated|landing\.(?:conflicted|outrun)|agent\.quota)$/;
const GREEN = /^(?:run\.completed|task\.completed|landing\.landed)$/;

export function paintText(style: Style, type: string, text: string): string {
  if (RED.test(type) || /^\w+: (?:fail|could-not-run)/.test(text)) return style.red(text);
  if (YELLOW.test(type)) return style.yellow(text);
  return GREEN.test(type) ? style.green(text) : text;
}
