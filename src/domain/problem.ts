import { z } from "zod";
import { nearestName } from "./nearest.ts";

/** One thing that is wrong with something a person or a model wrote. */
export interface Problem {
  /** The file, field or task, as precisely as it is known: `resources[2].name`. */
  readonly path: string;
  /** From 1, where it stands in a file. */
  readonly line?: number | undefined;
  readonly problem: string;
  readonly hint: string | null;
}

/** How many problems one message lists; the rest are counted. */
const PROBLEMS_SHOWN_MAX = 20;

export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Parses with a strict schema and tells every problem; never what the wrong value was. */
export function checkShape<S extends z.ZodType>(
  schema: S,
  value: unknown,
  lineOf: (path: readonly PropertyKey[]) => number | null = () => null,
): Checked<z.output<S>> {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return { ok: true, value: parsed.data };
  // Unknown keys first: where a required one is missing, they tell how it was misspelt.
  const issues = parsed.error.issues.toSorted((left, right) => rank(left) - rank(right));
  const keyed = issues.flatMap((issue) => explainIssue(schema, issue));
  const problems = keyed.map(({ keys, problem, hint }): Problem => {
    return { path: formatPath(keys), line: lineOf(keys) ?? undefined, problem, hint };
  });
  return { ok: false, problems };
}

/** Problems as lines for people, each with its place and what to do. */
export function listProblems(problems: readonly Problem[]): string {
  const lines = problems.slice(0, PROBLEMS_SHOWN_MAX).map(({ path, line, problem, hint }) => {
    const place = line === undefined ? path : `${path} (line ${line})`;
    return `${place}: ${problem}${hint === null ? "" : ` (${hint})`}`;
  });
  const left = problems.length - lines.length;
  return [...lines, ...(left > 0 ? [`and ${left} more`] : [])].join("\n");
}

/** A path into a value as people write it: `tasks[3].locks.reads`. */
export function formatPath(keys: readonly PropertyKey[]): string {
  const parts = keys.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`));
  return parts.join("").replace(/^\./, "") || "(whole)";
}

function rank(issue: z.core.$ZodIssue): number {
  return issue.code === "unrecognized_keys" ? 0 : 1;
}

interface KeyedProblem {
  readonly keys: readonly PropertyKey[];
  readonly problem: string;
  readonly hint: string | null;
}

function explainIssue(schema: z.ZodType, issue: z.core.$ZodIssue): readonly KeyedProblem[] {
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(schema, issue.path);
    return issue.keys.map((key) => ({
      keys: [...issue.path, key],
      problem: "unknown key",
      hint: suggest(key, known),
    }));
  }
  if (issue.code === "invalid_key") {
    const problem = issue.issues.map(({ message }) => message).join("; ");
    return [{ keys: issue.path, problem: `not a valid name: ${problem}`, hint: null }];
  }
  const isMissing = issue.code === "invalid_type" && issue.input === undefined;
  return [{ keys: issue.path, problem: isMissing ? "is required" : issue.message, hint: null }];
}

function suggest(key: string, known: readonly string[]): string {
  const nearest = nearestName(key, known);
  if (nearest !== null) return `did you mean ${nearest}?`;
  return known.length === 0 ? "leave it out" : `known here: ${known.join(", ")}`;
}

/** The keys that a schema allows at a path, read from its JSON Schema. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  type Node = z.core.JSONSchema.JSONSchema | boolean | undefined;
  let node: Node = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  for (const key of path) {
    if (typeof node !== "object") return [];
    const child: unknown =
      typeof key === "number"
        ? node.items
        : (node.properties?.[String(key)] ?? node.additionalProperties);
    node = child as Node;
  }
  return typeof node === "object" ? Object.keys(node.properties ?? {}) : [];
}
