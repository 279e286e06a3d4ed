import { isDeepStrictEqual } from "node:util";
import { parseTree, printParseErrorCode, type Node, type ParseError } from "jsonc-parser";
import { insertProperty, replaceValue } from "./json-layout.ts";

export interface ServersEdit {
  /** The key of the object that holds the servers. */
  readonly key: string;
  /** Of the entry; letters, digits, `-` and `_`. */
  readonly name: string;
  readonly entry: object;
  /** Whether an entry of that name that says something else is replaced. */
  readonly force: boolean;
}

export type EditedServers =
  /** The entry is there as it should be. */
  | { readonly kind: "same" }
  | { readonly kind: "edited"; readonly text: string; readonly replaced: boolean }
  /** An entry of that name says something else. */
  | { readonly kind: "differs" }
  /** Not to be edited safely; `why` starts with a verb: "is not JSON". */
  | { readonly kind: "refused"; readonly why: string };

/**
 * Puts one server into a client's configuration: JSON, where comments and commas at the end may
 * stand. Everything else in the text stays as it is, to the byte. An empty text is a new file.
 */
export function editServers(text: string, edit: ServersEdit): EditedServers {
  if (text.trim() === "") return { kind: "edited", text: freshText(edit), replaced: false };
  const parsed = parse(text);
  if (typeof parsed === "string") return { kind: "refused", why: parsed };
  const { key, name, entry, force } = edit;
  const servers = valueOf(parsed, key);
  if (servers === "twice") return refused(`holds ${JSON.stringify(key)} twice`);
  if (servers !== null && servers.type !== "object") {
    return refused(`holds something else than an object as ${JSON.stringify(key)}`);
  }
  const found = servers === null ? null : valueOf(servers, name);
  if (found === "twice") return refused(`holds the server ${JSON.stringify(name)} twice`);
  if (found !== null) {
    if (isDeepStrictEqual(plain(found), plain(rootOf(JSON.stringify(entry))))) {
      return { kind: "same" };
    }
    if (!force) return { kind: "differs" };
  }
  const edited = withEntry(text, { root: parsed, servers, found }, edit);
  return isAsAsked(edited, parsed, edit)
    ? { kind: "edited", text: edited, replaced: found !== null }
    : refused("cannot be edited without changing something else");
}

interface Found {
  readonly root: Node;
  readonly servers: Node | null;
  readonly found: Node | null;
}

function withEntry(
  text: string,
  { root, servers, found }: Found,
  { key, name, entry }: ServersEdit,
): string {
  if (found !== null) return replaceValue(text, found, entry);
  if (servers !== null) return insertProperty(text, servers, { key: name, value: entry });
  return insertProperty(text, root, { key, value: { [name]: entry } });
}

function refused(why: string): EditedServers {
  return { kind: "refused", why };
}

function freshText({ key, name, entry }: ServersEdit): string {
  return `${JSON.stringify({ [key]: { [name]: entry } }, null, 2)}\n`;
}

/** The object at the top, or what is wrong with the text. */
function parse(text: string): Node | string {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true });
  const [first] = errors;
  if (first !== undefined) {
    const line = text.slice(0, first.offset).split("\n").length;
    return `is not JSON: ${printParseErrorCode(first.error)} on line ${line}`;
  }
  return root?.type === "object" ? root : "holds no JSON object";
}

function rootOf(text: string): Node {
  const root = parseTree(text);
  if (root === undefined) throw new Error("what JSON.stringify wrote is JSON");
  return root;
}

/** A property's value. Of a key that stands there twice, programs read one or the other. */
function valueOf(object: Node, key: string): Node | "twice" | null {
  const found = (object.children ?? []).filter(({ children }) => children?.[0]?.value === key);
  if (found.length > 1) return "twice";
  return found[0]?.children?.[1] ?? null;
}

/** As pairs, so that no key (`__proto__`) is anything but a key; their order says nothing. */
function plain(node: Node): unknown {
  const { type, children = [] } = node;
  if (type === "array") return children.map(plain);
  if (type !== "object") return [type, node.value as unknown];
  return new Map(
    children.map(({ children: [key, value] = [] }) => [
      String(key?.value),
      value === undefined ? undefined : plain(value),
    ]),
  );
}

/** Whether the edited text says what was asked for, and all else what it said before. */
function isAsAsked(edited: string, before: Node, { key, name, entry }: ServersEdit): boolean {
  const after = parse(edited);
  if (typeof after === "string") return false;
  const servers = valueOf(after, key);
  if (servers === null || servers === "twice") return false;
  const written = valueOf(servers, name);
  if (written === null || written === "twice") return false;
  if (!isDeepStrictEqual(plain(written), plain(rootOf(JSON.stringify(entry))))) return false;
  return isDeepStrictEqual(othersOf(before, key, name), othersOf(after, key, name));
}

function othersOf(root: Node, key: string, name: string): readonly unknown[] {
  const all = plain(root) as Map<string, unknown>;
  const servers = new Map((all.get(key) as Map<string, unknown> | undefined) ?? []);
  servers.delete(name);
  all.delete(key);
  return [all, servers];
}
