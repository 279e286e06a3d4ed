import { usageSchema, totalTokens } from "../domain/usage.ts";
import type { EventPayload, RecordedEvent } from "../domain/event.ts";
import type { TypedEvent } from "../store/events.ts";
import {
  commitText,
  costText,
  countText,
  durationText,
  firstLine,
  listText,
} from "../domain/words.ts";

/** What the events of one task add up to. */
export interface TaskStory {
  readonly id: string;
  name: string;
  ending: string;
  readonly attempts: AttemptStory[];
  readonly turns: string[];
  tokens: number;
  /** `null` where a turn's cost is unknown. */
  costUsd: number | null;
  reports: number;
}

export interface AttemptStory {
  readonly number: number;
  outcome: string;
  reason: string;
  durationMs: number;
  /** The last gate that did not pass. */
  refusal: string | null;
}

export function newTaskStory(id: string): TaskStory {
  const used = { tokens: 0, costUsd: 0, reports: 0 };
  return { id, name: "", ending: "was not started", attempts: [], turns: [], ...used };
}

/** The types that tell a task's story. */
export const STORY_TYPES = [
  "task.started",
  "task.retried",
  "task.validated",
  "task.sent_back",
  "task.completed",
  "task.failed",
  "task.review_requested",
  "task.skipped",
  "task.reopened",
  "attempt.started",
  "attempt.ended",
  "turn.completed",
  "gate.decided",
  "manifest.rescoped",
  "manifest.violated",
  "landing.conflicted",
  "budget.warn",
  "budget.block",
  "agent.quota",
] as const;

export type StoryEvent = TypedEvent<(typeof STORY_TYPES)[number]>;

export function isStoryEvent(event: Pick<RecordedEvent, "type">): event is StoryEvent {
  return (STORY_TYPES as readonly string[]).includes(event.type);
}

/** Adds an event to its task's story. */
export function tellEvent(story: TaskStory, event: StoryEvent): void {
  const ending = tell(ENDINGS, event);
  if (ending !== null) story.ending = ending;
  const turn = tell(TURNS, event);
  if (turn !== null) story.turns.push(turn);
  if (event.type === "task.started") story.name = event.payload.name;
  if (event.type === "attempt.started") {
    const started = { outcome: "running", reason: "", durationMs: 0, refusal: null };
    story.attempts.push({ number: event.attempt ?? story.attempts.length + 1, ...started });
  }
  const attempt = story.attempts.at(-1);
  if (event.type === "gate.decided" && attempt !== undefined && event.payload.answer !== "pass") {
    const { gate, answer, reason } = event.payload;
    attempt.refusal = `${gate}: ${answer}, ${firstLine(reason)}`;
  }
  if (event.type === "attempt.ended" && attempt !== undefined) {
    const { outcome, reason, duration_ms } = event.payload;
    Object.assign(attempt, { outcome, reason, durationMs: duration_ms });
  }
  if (event.type === "turn.completed") addUsage(story, event.payload.usage);
}

/** One paragraph: how it ended, what stood in the way, what it used. */
export function storyText(story: TaskStory): string {
  const name = story.name === "" ? "" : ` (${firstLine(story.name)})`;
  const tries = story.attempts.length > 1 ? ` after ${story.attempts.length} attempts` : "";
  const sentences = [
    `Task ${story.id}${name} ${story.ending}${tries}.`,
    ...attemptSentences(story.attempts),
    ...story.turns,
    spendSentence(story),
  ];
  return sentences.filter((sentence) => sentence !== "").join(" ");
}

type Tellers = {
  readonly [T in StoryEvent["type"]]?: (payload: EventPayload<T>) => string | null;
};

/** What one of the tellers says of an event, if one of them is for its type. */
function tell(tellers: Tellers, event: StoryEvent): string | null {
  const teller = tellers[event.type] as ((payload: unknown) => string | null) | undefined;
  return teller?.(event.payload) ?? null;
}

/** How a task stands after an event, after "Task 3". */
const ENDINGS: Tellers = {
  "task.started": () => "is being worked on",
  "task.retried": () => "waits for its next attempt",
  "task.sent_back": () => "waits for its next attempt",
  "task.reopened": () => "waits for its next attempt",
  "task.validated": () => "is validated and has not landed yet",
  "task.completed": ({ commit }) =>
    commit === null ? "is complete: nothing had to change" : `landed as ${commitText(commit)}`,
  "task.failed": ({ reason, message }) => `failed (${reason}${after(message)})`,
  "task.review_requested": ({ reason, message }) =>
    `waits for a person (${reason}${after(message)})`,
  "task.skipped": ({ reason, message }) => `was skipped (${reason}${after(message)})`,
};

/** What happened on the way, as sentences. */
const TURNS: Tellers = {
  "task.sent_back": ({ reason }) => `It was sent back (${reason}).`,
  "task.reopened": ({ previous_state }) => `It was reopened after having been ${previous_state}.`,
  "manifest.rescoped": ({ added_files, added_locks }) =>
    `Its manifest was widened by ${listText([...added_files, ...added_locks])}.`,
  "manifest.violated": ({ enforcement, violations, unlisted }) => {
    const paths = violations.map(({ path }) => path);
    return enforcement === "block"
      ? `It wrote outside its manifest: ${listText(paths, unlisted)}.`
      : null;
  },
  "landing.conflicted": ({ paths }) => `It conflicted with the branch in ${listText(paths)}.`,
  "budget.warn": ({ message }) => `Budget: ${firstLine(message)}.`,
  "budget.block": ({ message }) => `Budget: ${firstLine(message)}.`,
  "agent.quota": () => "The agent's quota was used up.",
};

/** Attempts that are told one by one. */
const ATTEMPTS_TOLD_MAX = 4;

function attemptSentences(attempts: readonly AttemptStory[]): readonly string[] {
  const unhappy = attempts.filter(({ outcome }) => outcome !== "validated");
  const told = unhappy.slice(-ATTEMPTS_TOLD_MAX).map(attemptSentence);
  const untold = unhappy.length - told.length;
  return untold > 0
    ? [`${countText(untold, "earlier attempt")} did not get through.`, ...told]
    : told;
}

function attemptSentence({ number, outcome, reason, durationMs, refusal }: AttemptStory): string {
  if (outcome === "running") return `Attempt ${number} is running.`;
  const what = reason === outcome ? outcome : `${outcome} (${reason}${after(refusal ?? "")})`;
  return `Attempt ${number} was ${what} after ${durationText(durationMs)}.`;
}

function addUsage(story: TaskStory, reported: unknown): void {
  const usage = usageSchema.parse(reported);
  story.reports += 1;
  story.tokens += totalTokens(usage);
  story.costUsd =
    story.costUsd === null || usage.cost_usd === null ? null : story.costUsd + usage.cost_usd;
}

function spendSentence({ attempts, reports, tokens, costUsd }: TaskStory): string {
  if (attempts.length === 0) return "";
  if (reports === 0) return "What it used is unknown: the agent did not tell.";
  return `It used ${spendText(tokens, costUsd)}.`;
}

/** `1,234 tokens, $0.05`. */
export function spendText(tokens: number, costUsd: number | null): string {
  const cost = costUsd === null ? "at an unknown cost" : costText(costUsd);
  return `${countText(tokens, "token")}, ${cost}`;
}

function after(text: string): string {
  const line = firstLine(text);
  return line === "" ? "" : `: ${line}`;
}
