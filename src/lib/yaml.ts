import {
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  stringify,
  visit,
  type Alias,
  type Document,
} from "yaml";

/** How many values aliases may expand to: room for shared blocks, none for bombs. */
const ALIASES_MAX = 100;

export type YamlParse =
  | {
      readonly ok: true;
      readonly value: unknown;
      /** The line, from 1, of the key or item at a path, or of what holds it. */
      readonly lineOf: (path: readonly PropertyKey[]) => number | null;
    }
  | { readonly ok: false; readonly message: string; readonly line: number | null };

/**
 * Parses one YAML 1.2 document; JSON is one too. Duplicate keys, unknown tags, several documents
 * and aliases that multiply are errors. An empty text is `null`.
 */
export function parseYaml(text: string): YamlParse {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const error = document.errors[0] ?? document.warnings[0];
  const lineAt = (offset: number): number => lineCounter.linePos(offset).line;
  if (error !== undefined) {
    return { ok: false, message: describe(error.code, error.message), line: lineAt(error.pos[0]) };
  }
  const key = findOddKey(document);
  if (key !== null) {
    return { ok: false, message: "has a key that is no plain text", line: lineAt(key) };
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX });
    return { ok: true, value, lineOf: (path) => findLine(document, path, lineAt) };
  } catch (thrown) {
    // How the library reports an alias it will not follow; any other error is a bug.
    if (!(thrown instanceof ReferenceError)) throw thrown;
    const offset = findBadAlias(document);
    const line = offset === null ? null : lineAt(offset);
    return { ok: false, message: describe("ALIAS", thrown.message), line };
  }
}

/**
 * The same map with one key set, or removed where `value` is `undefined`; comments and all that is
 * not touched stay as they are. `null` where the text holds no map. An empty text is an empty map.
 */
export function setYamlKey(text: string, key: string, value: unknown): string | null {
  const document = parseDocument(text);
  if (document.errors.length > 0) return null;
  if (document.contents === null) document.contents = document.createNode({}) as never;
  if (!isMap(document.contents)) return null;
  if (value === undefined) document.delete(key);
  else document.set(key, document.createNode(value));
  return document.contents.items.length === 0 ? "" : document.toString({ lineWidth: 0 });
}

/** A string as it stands in a YAML value, quoted where it must be. */
export function formatYamlString(text: string): string {
  return stringify(text, { lineWidth: 0, blockQuote: false }).trimEnd();
}

function describe(code: string, message: string): string {
  if (code === "MULTIPLE_DOCS") return "holds more than one YAML document";
  if (code === "DUPLICATE_KEY") return "has the same key twice in one map";
  if (code === "RESOURCE_EXHAUSTION") return "is nested too deeply";
  if (code === "ALIAS") return `has aliases that cannot be followed: ${message}`;
  return message;
}

function findLine(
  document: Document,
  path: readonly PropertyKey[],
  lineAt: (offset: number) => number,
): number | null {
  let node: unknown = document.contents;
  let line = rangeLine(node, lineAt);
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(
        ({ key }) => isScalar(key) && String(key.value) === String(step),
      );
      if (pair === undefined) return line;
      line = rangeLine(pair.key, lineAt) ?? line;
      node = pair.value;
    } else if (isSeq(node) && typeof step === "number") {
      node = node.items[step];
      line = rangeLine(node, lineAt) ?? line;
    } else {
      return line;
    }
  }
  return line;
}

function rangeLine(node: unknown, lineAt: (offset: number) => number): number | null {
  return isNode(node) && node.range ? lineAt(node.range[0]) : null;
}

/** A list, a map or an alias as a key: objects cannot hold those. */
function findOddKey(document: Document): number | null {
  let offset: number | null = null;
  visit(document, {
    Pair: (_key, { key }) => {
      if (isScalar(key)) return undefined;
      offset = isNode(key) ? (key.range?.[0] ?? 0) : 0;
      return visit.BREAK;
    },
  });
  return offset;
}

/** The first alias without its anchor, or the first of all where they are only too many. */
function findBadAlias(document: Document): number | null {
  const aliases: Alias[] = [];
  visit(document, { Alias: (_key, node) => void aliases.push(node) });
  const bad = aliases.find((alias) => alias.resolve(document) === undefined) ?? aliases[0];
  return bad?.range?.[0] ?? null;
}
