/** What stands where a variable could not be put in. */
export interface ExpansionProblem {
  readonly path: readonly PropertyKey[];
  readonly problem: string;
  readonly hint: string;
}

export interface Expansion {
  readonly value: unknown;
  readonly problems: readonly ExpansionProblem[];
}

const REFERENCE = /(?<escaped>[$\\]\$\{)|\$\{(?<name>[^}]*)(?<end>\}?)/g;

/**
 * Puts variables in for `${NAME}` in every string of a value; keys stay as they are. `$${` and `\${`
 * stand for a literal `${`, so that a shell can be given its own. A bare `$NAME` is left alone.
 */
export function expandVariables(
  value: unknown,
  lookup: (name: string) => string | undefined,
): Expansion {
  const problems: ExpansionProblem[] = [];
  const expand = (inner: unknown, path: readonly PropertyKey[]): unknown => {
    if (typeof inner === "string") {
      const expanded = expandText(inner, lookup);
      problems.push(...expanded.problems.map((problem) => ({ path, ...problem })));
      return expanded.text;
    }
    if (Array.isArray(inner)) return inner.map((item, index) => expand(item, [...path, index]));
    if (typeof inner !== "object" || inner === null) return inner;
    const entries = Object.entries(inner).map(([key, item]) => [key, expand(item, [...path, key])]);
    return Object.fromEntries(entries);
  };
  return { value: expand(value, []), problems };
}

/** The inverse: a text that expands to `text` whatever is set. */
export function escapeReferences(text: string): string {
  return text.replaceAll("${", () => "$${");
}

type TextProblem = Omit<ExpansionProblem, "path">;

function expandText(
  text: string,
  lookup: (name: string) => string | undefined,
): { readonly text: string; readonly problems: readonly TextProblem[] } {
  const problems: TextProblem[] = [];
  const expanded = text.replaceAll(REFERENCE, (whole: string, ...rest: unknown[]) => {
    const { escaped, name = "", end } = rest.at(-1) as Record<string, string | undefined>;
    if (escaped !== undefined) return "${";
    if (end === "" || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      problems.push({
        problem: `\`${whole.slice(0, 60)}\` is not a variable`,
        hint: "write `$${` for a literal `${`",
      });
      return whole;
    }
    const found = lookup(name);
    if (found === undefined) {
      problems.push({
        problem: `the variable ${name} is not set`,
        hint: `set ${name}, or write \`$\${${name}}\` for the literal text`,
      });
    }
    return found ?? whole;
  });
  return { text: expanded, problems };
}
