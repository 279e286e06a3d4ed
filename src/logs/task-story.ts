import { usageSchema, totalTokens } from "../domain/usage.ts";
import type { RecordedEvent } from "../domain/event.ts";
import type { TypedEvent } from "../store/events.ts";
import { commitText, costText, countText, durationText, firstLine, listText } from "../domain/words.ts";

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
  const ending = endingAfter(event);
  if (ending !== null) story.ending = ending;
  const turn = turnIn(event);
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

function endingAfter(event: StoryEvent): string | null {
  switch (event.type) {
    case "task.started":
      return "is being worked on";
    case "task.retried":
    case "task.sent_back":
    case "task.reopened":
      return "waits for its next attempt";
    case "task.validated":
      return "is validated and has not landed yet";
    case "task.completed":
      return event.payload.commit === null
        ? "is complete: nothing had to change"
        : `landed as ${commitText(event.payload.commit)}`;
    case "task.failed":
      return `failed (${event.payload.reason}${after(event.payload.message)})`;
    case "task.review_requested":
      return `waits for a person (${event.payload.reason}${after(event.payload.message)})`;
    case "task.skipped":
      return `was skipped (${event.payload.reason}${after(event.payload.message)})`;
    default:
      return null;
  }
}

function turnIn(event: StoryEvent): string | null {
  switch (event.type) {
    case "task.sent_back":
      return `It was sent back (${event.payload.reason}).`;
    case "task.reopened":
      return `It was reopened after having been ${event.payload.previous_state}.`;
    case "manifest.rescoped": {
      const { added_files, added_locks } = event.payload;
      return `Its manifest was widened by ${listText([...added_files, ...added_locks])}.`;
    }
    case "manifest.violated":
      return event.payload.enforcement === "block"
        ? `It wrote outside its manifest: ${listText(event.payload.violations.map(({ path }) => path))}.`
        : null;
    case "landing.conflicted":
      return `It conflicted with the branch in ${listText(event.payload.paths)}.`;
    case "budget.warn":
    case "budget.block":
      return `Budget: ${firstLine(event.payload.message)}.`;
    case "agent.quota":
      return "The agent's quota was used up.";
    default:
      return null;
  }
}

/** Attempts that are told one by one. */
const ATTEMPTS_TOLD_MAX = 4;

function attemptSentences(attempts: readonly AttemptStory[]): readonly string[] {
  const unhappy = attempts.filter(({ outcome }) => outcome !== "validated");
  const told = unhappy.slice(-ATTEMPTS_TOLD_MAX).map(attemptSentence);
  const untold = unhappy.length - told.length;
  return untold > 0 ? [`${countText(untold, "earlier attempt")} did not get through.`, ...told] : told;
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
