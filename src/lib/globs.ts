/**
 * Which paths a manifest's globs permit.
 *
 * `*` and `?` stay within a segment and match leading dots, `[a-z]` and `[!a-z]` are one character,
 * `**` as a whole segment is any number of segments, `{a,b}` is either, and a trailing `/` or `/**`
 * is everything below. All else stands for itself, as do brackets and braces that form none of
 * these: `app/(group)/page.tsx` is a path. A glob always matches the path that reads the same.
 *
 * Not by regular expressions: globs come from models and paths from agents, and five stars in one
 * segment already keep a backtracking engine busy for most of a minute. This takes time proportional
 * to the length of the glob times that of the path.
 */

export const GLOB_LENGTH_MAX = 1024;

/** How many patterns the braces of one glob may stand for. */
export const ALTERNATIVES_MAX = 64;

/** Whether any of the globs permits the path. A glob with a problem permits only itself. */
export function matchesAny(globs: readonly string[], path: string): boolean {
  return globs.some((glob) => glob === path || (isPattern(glob) && matches(glob, path)));
}

/** True for globs that name exactly one path. */
export function isLiteral(glob: string): boolean {
  return !isPattern(glob) && findGlobProblem(glob) === null;
}

/** What is wrong with a glob, for people, or `null`. */
export function findGlobProblem(glob: string): string | null {
  if (glob === "") return "is empty";
  if (glob.length > GLOB_LENGTH_MAX) return `is longer than ${GLOB_LENGTH_MAX} characters`;
  if (glob.startsWith("!")) return "starts with '!', but globs cannot exclude";
  if (/[@!?*+]\(/.test(glob)) return "uses '@(…)', '!(…)', '?(…)', '*(…)' or '+(…)'";
  if (/\{[^{},]*\.\.[^{},]*\}/.test(glob)) return "uses a range in braces; list the alternatives";
  if (/^\/|\/\//.test(glob)) return "has an empty segment";
  if (glob.split("/").some((part) => part === "." || part === "..")) {
    return "has a '.' or '..' segment";
  }
  const patterns = expandBraces(glob);
  return patterns === null ? `stands for more than ${ALTERNATIVES_MAX} patterns` : null;
}

function isPattern(glob: string): boolean {
  return /[*?[]|\/$/.test(glob) || findAlternation(glob) !== null;
}

function matches(glob: string, path: string): boolean {
  if (findGlobProblem(glob) !== null) return false;
  const segments = path.split("/");
  return (expandBraces(glob) ?? []).some((pattern) => {
    return matchSequence(compilePath(pattern), segments);
  });
}

/** Every pattern without alternatives that the glob stands for; `null` where there are too many. */
function expandBraces(glob: string): readonly string[] | null {
  const done: string[] = [];
  const open = [glob];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const found = findAlternation(next);
    if (found === null) {
      done.push(next);
    } else {
      const { start, end, alternatives } = found;
      for (const one of alternatives) open.push(next.slice(0, start) + one + next.slice(end));
    }
    if (done.length + open.length > ALTERNATIVES_MAX) return null;
  }
  return done;
}

interface Alternation {
  /** Where the opening brace is, and the first character after the closing one. */
  readonly start: number;
  readonly end: number;
  readonly alternatives: readonly string[];
}

/** The first innermost `{…,…}`. Inside out, so that nesting needs no recursion. */
function findAlternation(glob: string): Alternation | null {
  for (const match of glob.matchAll(/\{([^{}]*)\}/g)) {
    const [whole, inside] = match;
    if (inside?.includes(",") === true) {
      const end = match.index + whole.length;
      return { start: match.index, end, alternatives: inside.split(",") };
    }
  }
  return null;
}

/** What one item must be; `null` is any number of items. */
type Wanted = ((item: string) => boolean) | null;

function compilePath(pattern: string): readonly Wanted[] {
  const segments = (pattern.endsWith("/") ? `${pattern}**` : pattern).split("/");
  // A trailing `**` is what is below, never the folder itself.
  if (segments.at(-1) === "**") segments.push("*");
  return segments.map((segment) => (segment === "**" ? null : compileSegment(segment)));
}

function compileSegment(segment: string): Wanted {
  if (!/[*?[]/.test(segment)) return (item) => item === segment;
  // Stars, whole classes, and characters: `]` may be the first member of a class, as in a shell.
  const tokens = segment.match(/\*+|\[(?:[!^][^][^\]]*|[^!^][^\]]*)\]|[^]/gu) ?? [];
  const wanted = tokens.map(compileToken);
  return (item) => matchSequence(wanted, Array.from(item));
}

function compileToken(token: string): Wanted {
  if (token.startsWith("*")) return null;
  if (token === "?") return () => true;
  return token.startsWith("[") && token !== "["
    ? compileClass(token)
    : (character) => character === token;
}

function compileClass(token: string): Wanted {
  const negated = token[1] === "!" || token[1] === "^";
  const members = Array.from(token.slice(negated ? 2 : 1, -1));
  const ranges: { readonly first: string; readonly last: string }[] = [];
  for (let at = 0; at < members.length; at += 1) {
    const first = members[at] ?? "";
    const isRange = members[at + 1] === "-" && at + 2 < members.length;
    if (isRange) at += 2;
    ranges.push({ first, last: members[at] ?? first });
  }
  return (character) =>
    ranges.some(({ first, last }) => first <= character && character <= last) !== negated;
}

/**
 * Matches items against a pattern. Only the last star met ever has to be tried again, because an
 * earlier one could gain nothing by taking more.
 */
function matchSequence(pattern: readonly Wanted[], items: readonly string[]): boolean {
  let at = 0;
  let next = 0;
  let afterStar = -1;
  let resumeAt = 0;
  while (next < items.length) {
    const wanted = pattern[at];
    if (wanted === null) {
      at += 1;
      afterStar = at;
      resumeAt = next;
    } else if (wanted?.(items[next] ?? "") === true) {
      at += 1;
      next += 1;
    } else if (afterStar >= 0) {
      resumeAt += 1;
      next = resumeAt;
      at = afterStar;
    } else {
      return false;
    }
  }
  return pattern.slice(at).every((wanted) => wanted === null);
}
