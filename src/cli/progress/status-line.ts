import { countText, durationText } from "../../domain/words.ts";
import { cut, plainLine } from "../render/terminal-text.ts";
import type { ProgressState } from "./progress-state.ts";

/** Running tasks that are named; the rest are counted. */
const TASKS_NAMED_MAX = 4;

/** How a run stands, on one line of at most so many characters. */
export function statusLine(
  state: ProgressState,
  times: { readonly startedMs: number; readonly nowMs: number },
  lengthMax: number,
): string {
  const { total, settled, landed, waiting, running, landing, tokens } = state;
  const named = [...running].slice(0, TASKS_NAMED_MAX).map(([id, { phase, startedMs }]) => {
    return `${id} ${phase} ${durationText(times.nowMs - startedMs)}`;
  });
  const more = running.size - named.length;
  const parts = [
    `${settled.size}/${total} done, ${landed} landed`,
    ...(waiting.size > 0 ? [`${waiting.size} to land`] : []),
    ...(named.length > 0 ? [named.join(", ") + (more > 0 ? ` +${more}` : "")] : []),
    ...(landing.length > 0 ? [`proving ${landingText(landing)}`] : []),
    ...(tokens > 0 ? [countText(tokens, "token")] : []),
    durationText(times.nowMs - times.startedMs),
  ];
  return cut(plainLine(parts.join(" | ")), lengthMax);
}

function landingText(tasks: readonly string[]): string {
  const [first = ""] = tasks;
  return tasks.length === 1 ? first : countText(tasks.length, "task");
}
