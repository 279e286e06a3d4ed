import { extname } from "node:path";
import { findGlobProblem, isLiteral, matchesAny } from "../lib/globs.ts";

/** Where nothing at all may be written, something is: a task without a change proves nothing. */
export const FALLBACK_PATH = "mock-output.txt";

export interface MockTask {
  readonly taskId: string;
  readonly name: string;
}

/**
 * The one path that the mock writes for a glob: a literal as it is; else `**` vanishes, the first
 * `*` of a segment becomes `mock-<task>`, and the rest the first thing that fits. `null` where that
 * makes no path that the glob permits.
 */
export function pathFor(glob: string, taskId: string): string | null {
  if (isLiteral(glob) || findGlobProblem(glob) !== null) return glob;
  const file = `mock-${taskId}`;
  const segments = firstAlternative(glob).split("/");
  const last = segments.pop() ?? "";
  const folders = segments.filter((segment) => segment !== "**");
  const name = ["", "*", "**"].includes(last) ? `${file}.txt` : fill(last, file);
  const path = [...folders.map((segment) => fill(segment, file)), name].join("/");
  return matchesAny([glob], path) ? path : null;
}

/** Inner braces first, as the globs are read. */
function firstAlternative(glob: string): string {
  const next = glob.replace(/\{([^{},]*),[^{}]*\}/, "$1");
  return next === glob ? glob : firstAlternative(next);
}

function fill(segment: string, name: string): string {
  let isNamed = false;
  return segment.replaceAll(/\*+|\?|\[(?:[!^][^][^\]]*|[^!^][^\]]*)\]/g, (token) => {
    if (token === "?") return "x";
    if (token.startsWith("[")) return memberOf(token);
    if (isNamed) return "";
    isNamed = true;
    return name;
  });
}

function memberOf(token: string): string {
  if (!/^\[[!^]/.test(token)) return token.charAt(1);
  const candidates = "xyzabc0123456789_".split("");
  return candidates.find((candidate) => matchesAny([token], candidate)) ?? "x";
}

/** How a line is said that no program reads, by the ending of the file. */
const COMMENTS: readonly { readonly endings: string; readonly wrap: readonly [string, string] }[] =
  [
    { endings: ".js .mjs .cjs .jsx .ts .mts .cts .tsx .c .h .cc .cpp .hpp .cs", wrap: ["// ", ""] },
    { endings: ".go .java .kt .rs .swift .scala .php .dart .zig", wrap: ["// ", ""] },
    { endings: ".py .rb .pl .sh .bash .yml .yaml .toml .ini .cfg .conf .r", wrap: ["# ", ""] },
    { endings: ".sql .lua .hs", wrap: ["-- ", ""] },
    { endings: ".css .scss .less", wrap: ["/* ", " */"] },
    { endings: ".html .htm .xml .svg .vue .svelte", wrap: ["<!-- ", " -->"] },
    { endings: ".md .txt", wrap: ["", ""] },
  ];

/** The whole of a new file: valid for the kinds of file that programs choke on. */
export function newContent(path: string, task: MockTask): string {
  if (extname(path) === ".json") return `${JSON.stringify({ task: task.taskId, path })}\n`;
  return `${commentLine(path, task) ?? sentence(path, task)}\n`;
}

/**
 * What is added to the end of an existing file so that it differs: a comment or a line of text where
 * the kind of file is known to take one, and one more line end where it is not.
 */
export function addition(path: string, task: MockTask, existing: Buffer): string {
  const line = commentLine(path, task);
  if (line === null) return "\n";
  const needsLineEnd = existing.length > 0 && existing.at(-1) !== 0x0a;
  return `${needsLineEnd ? "\n" : ""}${line}\n`;
}

function commentLine(path: string, task: MockTask): string | null {
  const ending = extname(path).toLowerCase();
  const kind = COMMENTS.find(({ endings }) => ending !== "" && endings.split(" ").includes(ending));
  return kind === undefined ? null : kind.wrap.join(sentence(path, task));
}

/** One line, whatever the name of the task holds. */
function sentence(path: string, { taskId, name }: MockTask): string {
  return `mock work of task ${taskId} (${name.replaceAll(/[^\p{L}\p{N} _.,:'()]/gu, " ")}) on ${path}`;
}
