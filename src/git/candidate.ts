import { splitAtNul } from "./commits.ts";
import { OWN_IDENTITY } from "./git.ts";
import { gitFailed } from "./git-failed.ts";
import type { RepositoryParts } from "./parts.ts";
import { assertObjectIds, isObjectId } from "./ref-name.ts";

export interface MergeRequest {
  readonly tip: string;
  readonly commit: string;
}

/** One thing that two sides cannot both have. */
export interface MergeConflict {
  readonly path: string;
  /** git's own word, such as `content`, `add/add`, `modify/delete` or `rename/rename`. */
  readonly kind: string;
}

/** What merging came to. Nothing but objects is written: no index, no worktree, no ref. */
export type MergeOutcome =
  | { readonly kind: "clean"; readonly tree: string }
  | {
      readonly kind: "conflict";
      readonly paths: readonly string[];
      readonly conflicts: readonly MergeConflict[];
      /** For an agent: git's messages, then the files with conflict markers; bounded. */
      readonly text: string;
    };

export interface Person {
  readonly name: string;
  readonly email: string;
}

export interface CommitRequest {
  readonly tree: string;
  readonly parents: readonly string[];
  readonly message: string;
  readonly author: Person;
  /** Mycelium by default. */
  readonly committer?: Person;
  /** For author and committer, in milliseconds since the epoch; git keeps seconds. */
  readonly dateMs: number;
}

const CONFLICT = 1;
const SHOWN_PATHS_MAX = 20;
const SHOWN_CHARACTERS_MAX = 16_000;
const DIFF_BYTES_MAX = 4 * 1024 * 1024;

/** Merges a commit into a tip, by one process where it is clean and two where it is not. */
export async function mergeInto(
  parts: RepositoryParts,
  { tip, commit }: MergeRequest,
): Promise<MergeOutcome> {
  assertObjectIds(tip, commit);
  const args = ["merge-tree", "--write-tree", "-z", "--name-only", tip, commit];
  const config = ["merge.conflictStyle=merge"];
  const result = await parts.git.run(args, { config, allowExitCodes: [0, CONFLICT] });
  const [tree = "", ...rest] = splitAtNul(result.stdout);
  // The code for a conflict is also git's code for a commit that it cannot find.
  if (!isObjectId(tree)) {
    const what = `failed with exit code ${result.code}`;
    throw gitFailed(args, { what, exitCode: result.code, stderr: result.stderr });
  }
  if (result.code === 0) return { kind: "clean", tree };
  const pathsEnd = rest.indexOf("");
  const paths = rest.slice(0, pathsEnd);
  const messages = parseMessages(rest.slice(pathsEnd + 1));
  const diff = await showConflicts(parts, { tip, tree, paths });
  const text = `${messages.map((message) => message.text).join("\n")}\n\n${diff}`;
  const conflicts = conflictsOf(paths, messages);
  return { kind: "conflict", paths, conflicts, text: cut(nameSides(text, { tip, commit })) };
}

/** Writes a commit with one process and moves nothing. The same request makes the same commit. */
export async function commitTree(
  { git }: RepositoryParts,
  { tree, parents, message, author, committer = OWN_IDENTITY, dateMs }: CommitRequest,
): Promise<string> {
  assertObjectIds(tree, ...parents);
  const date = `@${Math.floor(dateMs / 1000)} +0000`;
  const args = ["commit-tree", tree, ...parents.flatMap((parent) => ["-p", parent]), "-F", "-"];
  const { stdout } = await git.run(args, {
    stdin: message,
    env: {
      GIT_AUTHOR_NAME: author.name,
      GIT_AUTHOR_EMAIL: author.email,
      GIT_AUTHOR_DATE: date,
      GIT_COMMITTER_NAME: committer.name,
      GIT_COMMITTER_EMAIL: committer.email,
      GIT_COMMITTER_DATE: date,
    },
  });
  return stdout.trim();
}

interface MergeMessage {
  readonly paths: readonly string[];
  readonly kind: string;
  readonly text: string;
}

/** Records of a count, that many paths, a kind and a text for people. */
function parseMessages(fields: readonly string[]): readonly MergeMessage[] {
  const messages: MergeMessage[] = [];
  let index = 0;
  while (index < fields.length) {
    const kindAt = index + Number(fields[index]) + 1;
    const text = fields[kindAt + 1];
    const kind = fields[kindAt];
    if (text === undefined || kind === undefined) break;
    if (!text.startsWith("Auto-merging")) {
      messages.push({ paths: fields.slice(index + 1, kindAt), kind, text: text.trimEnd() });
    }
    index = kindAt + 2;
  }
  return messages;
}

/** Each path with what git says of it; one that it says nothing of conflicts in its contents. */
function conflictsOf(
  paths: readonly string[],
  messages: readonly MergeMessage[],
): readonly MergeConflict[] {
  return paths.map((path) => {
    const said = messages.find((one) => one.kind.startsWith("CONFLICT") && one.paths[0] === path);
    // The text is finer than the kind: both sides adding a file is one of contents there.
    const kind = /^CONFLICT \((.*?)\)/.exec(said?.text ?? "")?.[1];
    return { path, kind: kind ?? "content" };
  });
}

interface Conflict {
  readonly tip: string;
  readonly tree: string;
  readonly paths: readonly string[];
}

/** The files as merged so far, with conflict markers, as a patch against the tip. */
async function showConflicts(
  { git }: RepositoryParts,
  { tip, tree, paths }: Conflict,
): Promise<string> {
  const look = ["diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "--no-color"];
  const shown = paths.slice(0, SHOWN_PATHS_MAX);
  try {
    const args = [...look, tip, tree, "--", ...shown];
    return (await git.run(args, { outputBytesMax: DIFF_BYTES_MAX })).stdout;
  } catch {
    // Only an illustration: the paths and git's messages say what conflicts.
    return "(the conflicting content is too large to show)\n";
  }
}

/** git calls the sides by their ids, which tell an agent nothing. */
function nameSides(text: string, { tip, commit }: MergeRequest): string {
  return text.replaceAll(tip, "the branch").replaceAll(commit, "your change");
}

function cut(text: string): string {
  if (text.length <= SHOWN_CHARACTERS_MAX) return text;
  return `${text.slice(0, SHOWN_CHARACTERS_MAX)}\n[… ${text.length - SHOWN_CHARACTERS_MAX} more characters]\n`;
}
