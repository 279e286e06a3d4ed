/** `3 tasks`, `1 task`, `12,345 bytes`. */
export function countText(count: number, noun: string, plural = `${noun}s`): string {
  return `${numberText(count)} ${count === 1 ? noun : plural}`;
}

/** `12,345`. */
export function numberText(value: number): string {
  return value.toLocaleString("en-US");
}

/** `0.4 s`, `42 s`, `3 min 05 s`, `2 h 10 min`. */
export function durationText(ms: number): string {
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${padded(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${padded(minutes % 60)} min`;
}

function padded(value: number): string {
  return String(value).padStart(2, "0");
}

/** As many digits of a commit as people type. */
export function commitText(commit: string): string {
  return commit.slice(0, 10);
}

/** Dollars, with cents; smaller amounts with what makes them more than nothing. */
export function costText(usd: number): string {
  return usd === 0 || usd >= 0.01 ? `$${usd.toFixed(2)}` : `$${usd.toPrecision(2)}`;
}

/** Names that a list shows before it counts the rest. */
const LIST_NAMED_MAX = 8;

/** `a, b and c`; long lists end with how many more there are, those that nobody listed included. */
export function listText(items: readonly string[], unlisted = 0): string {
  const named = items.slice(0, LIST_NAMED_MAX);
  const more = items.length - named.length + unlisted;
  if (more > 0) return `${named.join(", ")} and ${numberText(more)} more`;
  const last = named.pop();
  return named.length === 0 ? (last ?? "nothing") : `${named.join(", ")} and ${last}`;
}

/** Characters of a message that one line shows. */
const LINE_LENGTH_MAX = 300;

/** The first line that says something, cut where it is long. */
export function firstLine(text: string): string {
  const line = /\S[^\n]*/.exec(text)?.[0].trimEnd() ?? "";
  return line.length > LINE_LENGTH_MAX ? `${line.slice(0, LINE_LENGTH_MAX)}…` : line;
}
