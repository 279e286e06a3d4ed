import type { GitConversation } from "./conversation.ts";
import type { Git } from "./git.ts";
import { gitFailed } from "./git-failed.ts";
import { assertObjectIds, assertRefName, isObjectId } from "./ref-name.ts";

export interface Commit {
  readonly commit: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly message: string;
}

/** Reads refs and objects by one long-lived process: a fraction of a millisecond a question. */
export interface ObjectReader {
  /** The commit by its id, or that a ref points to now; `null` where there is none. */
  readCommit(idOrRef: string): Promise<Commit | null>;
  /** What a ref points to now, whatever it is; `null` where there is none. */
  resolveRef(ref: string): Promise<string | null>;
  /** `null` where there is no such object, or it is no blob. */
  readBlob(id: string): Promise<string | null>;
  close(): Promise<void>;
}

interface Found {
  readonly id: string;
  readonly type: string;
  readonly content: Buffer;
}

const ARGS = ["cat-file", "--batch-command"] as const;

export function openObjectReader(git: Git): ObjectReader {
  const conversation = git.converse(ARGS);
  const resolveRef = async (ref: string): Promise<string | null> => {
    assertRefName(ref);
    const header = await ask(conversation, "info", ref);
    return parseHeader(header.toString("latin1"))?.id ?? null;
  };
  return {
    readCommit: async (idOrRef) => {
      const id = isObjectId(idOrRef) ? idOrRef : await resolveRef(idOrRef);
      const found = id === null ? null : await read(conversation, id);
      return found?.type === "commit" ? parseCommit(found) : null;
    },
    resolveRef,
    readBlob: async (id) => {
      const found = await read(conversation, id);
      return found?.type === "blob" ? found.content.toString("utf8") : null;
    },
    close: () => conversation.close(),
  };
}

/** The end of an answer is known by the answer to a second question, for what cannot exist. */
function ask(conversation: GitConversation, verb: string, name: string): Promise<Buffer> {
  const end = `end:${name}`;
  return conversation.ask({
    input: `${verb} ${name}\ninfo ${end}\n`,
    sentinel: `${end} missing`,
  });
}

async function read(conversation: GitConversation, id: string): Promise<Found | null> {
  assertObjectIds(id);
  const answer = await ask(conversation, "contents", id);
  const lineEnd = answer.indexOf("\n");
  const header = parseHeader(answer.subarray(0, lineEnd).toString("latin1"));
  if (header === null) return null;
  const content = answer.subarray(lineEnd + 1, -1);
  if (content.length !== header.size) {
    await conversation.close();
    throw gitFailed(ARGS, { what: `answered only a part of ${id}` });
  }
  return { ...header, content };
}

function parseHeader(line: string): { id: string; type: string; size: number } | null {
  const [id = "", type = "", size = ""] = line.trimEnd().split(" ");
  return isObjectId(id) && size !== "" ? { id, type, size: Number(size) } : null;
}

function parseCommit({ id, content }: Found): Commit {
  const text = content.toString("utf8");
  const headersEnd = text.indexOf("\n\n");
  const headers = text.slice(0, headersEnd).split("\n");
  const valuesOf = (name: string): readonly string[] =>
    headers
      .filter((line) => line.startsWith(`${name} `))
      .map((line) => line.slice(name.length + 1));
  const [tree] = valuesOf("tree");
  if (tree === undefined) throw gitFailed(ARGS, { what: `found no tree in ${id}` });
  return { commit: id, tree, parents: valuesOf("parent"), message: text.slice(headersEnd + 2) };
}
