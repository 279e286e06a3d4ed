import type { GitConversation } from "./conversation.ts";
import type { Git } from "./git.ts";
import { gitFailed } from "./git-failed.ts";
import { assertObjectIds } from "./ref-name.ts";

/** One changed path. A rename is a deletion and an addition. */
export interface Change {
  readonly path: string;
  readonly status: ChangeStatus;
  /** As git writes modes: `100644`, `100755`, `120000` a symbolic link, `160000` a submodule. */
  readonly oldMode: string;
  readonly newMode: string;
  /** All zeros where there was, or is, nothing. */
  readonly oldId: string;
  readonly newId: string;
}

export type ChangeStatus = "added" | "modified" | "deleted" | "type-changed";

/** Where there was, or is, nothing. */
export const NOTHING_MODE = "000000";
export const SYMLINK_MODE = "120000";
export const SUBMODULE_MODE = "160000";

const STATUS: Readonly<Record<string, ChangeStatus>> = {
  A: "added",
  M: "modified",
  D: "deleted",
  T: "type-changed",
};

/** Compares commits by one long-lived process for the whole run. */
export interface ChangeLister {
  /**
   * What is different in `commit` against `base`, submodules that a worker's `.gitmodules` would
   * hide included. Refuses unknown commits, and answers that are not whole.
   */
  listChanges(base: string, commit: string): Promise<readonly Change[]>;
  close(): Promise<void>;
}

/**
 * New references to commits of other repositories that no `.gitmodules` came with: what becomes of
 * a repository inside of a worker's, such as a clone. Whoever checks them out gets empty folders.
 */
export function findStrayRepositories(changes: readonly Change[]): readonly string[] {
  const isDescribed = changes.some(
    ({ path, status }) => path === ".gitmodules" && status !== "deleted",
  );
  if (isDescribed) return [];
  return changes
    .filter(({ newMode, oldMode }) => newMode === SUBMODULE_MODE && oldMode !== SUBMODULE_MODE)
    .map(({ path }) => path);
}

const ARGS = [
  "diff-tree",
  "--stdin",
  "-r",
  "-z",
  "--always",
  "--no-renames",
  "--no-relative",
  "--ignore-submodules=none",
] as const;

export function openChangeLister(git: Git): ChangeLister {
  const conversation = git.converse(ARGS);
  return {
    listChanges: (base, commit) => ask(conversation, base, commit),
    close: () => conversation.close(),
  };
}

/**
 * A line of a commit and another compares them as if the other were its only parent. The answer
 * begins with the commit's id even where nothing differs, so silence is never taken for "nothing".
 * A line that is no id is echoed, which marks the end.
 */
async function ask(
  conversation: GitConversation,
  base: string,
  commit: string,
): Promise<readonly Change[]> {
  assertObjectIds(base, commit);
  const sentinel = `end of ${commit}`;
  const answer = await conversation.ask({ input: `${commit} ${base}\n${sentinel}\n`, sentinel });
  const changes = parse(answer.toString("utf8"), commit);
  if (changes !== null) return changes;
  await conversation.close();
  throw gitFailed(ARGS, { what: `did not compare ${base} with ${commit}` });
}

const RECORD = /^:(\d{6}) (\d{6}) ([0-9a-f]+) ([0-9a-f]+) ([AMDT])$/;

/** `null` where the answer is not exactly the commit's id and whole records. */
function parse(answer: string, commit: string): readonly Change[] | null {
  const [id, ...fields] = answer.split("\0");
  if (id !== commit || fields.pop() !== "" || fields.length % 2 !== 0) return null;
  const changes: Change[] = [];
  for (let index = 0; index < fields.length; index += 2) {
    const match = RECORD.exec(fields[index] ?? "");
    const path = fields[index + 1] ?? "";
    if (match === null || path === "") return null;
    const [, oldMode = "", newMode = "", oldId = "", newId = "", letter = ""] = match;
    const status = STATUS[letter];
    if (status === undefined) return null;
    changes.push({ path, status, oldMode, newMode, oldId, newId });
  }
  return changes;
}
