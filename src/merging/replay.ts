import { splitAtNul } from "../git/commits.ts";
import { OWN_IDENTITY, type Git } from "../git/git.ts";
import type { MergeConflict, Person } from "../git/candidate.ts";
import type { Repository } from "../git/repository.ts";

/** A repository of Mycelium's own that holds the commits of all sides. */
export interface MergeRoom {
  readonly repository: Repository;
  readonly git: Git;
}

export interface Taken {
  /** The tip with what could be taken. */
  readonly tip: string;
  /** Of the source's commits. */
  readonly commits: number;
  readonly conflicts: readonly MergeConflict[];
}

interface Original {
  readonly id: string;
  readonly parents: readonly string[];
  readonly author: Person;
  readonly dateMs: number;
  readonly message: string;
}

const COMMITS_MAX = 10_000;
const FIELDS = 6;

/** A source's commits that none of `known` reaches, the oldest first, along its own line. */
export async function commitsOf(
  { git }: MergeRoom,
  head: string,
  known: readonly string[],
): Promise<readonly Original[]> {
  const format = "--format=tformat:%H%x00%P%x00%an%x00%ae%x00%at%x00%B";
  const not = known.map((id) => `^${id}`);
  const args = ["log", "-z", "--reverse", "--first-parent", `--max-count=${COMMITS_MAX}`, format];
  const { stdout } = await git.run([...args, head, ...not]);
  const fields = splitAtNul(stdout);
  return Array.from({ length: Math.floor(fields.length / FIELDS) }, (_, at) => {
    const own = fields.slice(at * FIELDS, (at + 1) * FIELDS);
    const [id = "", parents = "", name = "", email = "", seconds = "", message = ""] = own;
    return {
      id,
      parents: parents.split(" ").filter(Boolean),
      author: { name: name.trim() || OWN_IDENTITY.name, email: email.trim() || OWN_IDENTITY.email },
      dateMs: Number(seconds) * 1000,
      message,
    };
  });
}

export async function areRelated({ git }: MergeRoom, one: string, other: string): Promise<boolean> {
  const { code } = await git.run(["merge-base", one, other], { allowExitCodes: [0, 1] });
  return code === 0;
}

/**
 * Commits put on a tip one by one, each merged three ways from its own parent, with its author, date
 * and message. Ends at the first conflict. The same request makes the same commits.
 */
export async function replay(
  room: MergeRoom,
  from: string,
  commits: readonly Original[],
): Promise<Taken> {
  let tip = from;
  let count = 0;
  for (const commit of commits) {
    const [parent] = commit.parents;
    if (parent === undefined) return { tip, commits: count, conflicts: [unrelated()] };
    if (parent === tip && commit.parents.length === 1) {
      tip = commit.id;
      count += 1;
      continue;
    }
    const ours = await standIn(room, tip, parent);
    const merged = await room.repository.mergeInto({ tip: ours, commit: commit.id });
    if (merged.kind === "conflict") return { tip, commits: count, conflicts: merged.conflicts };
    if (merged.tree !== (await treeOf(room, tip))) {
      const { author, dateMs, message } = commit;
      const { tree } = merged;
      tip = await room.repository.commitTree({ tree, parents: [tip], message, author, dateMs });
    }
    count += 1;
  }
  return { tip, commits: count, conflicts: [] };
}

export interface WholeRequest {
  readonly tip: string;
  readonly head: string;
  readonly commits: readonly Original[];
  readonly message: string;
  /** Whether the source becomes a parent too. */
  readonly asMerge: boolean;
}

/** All that a source has changed as one commit, merged three ways from where the sides parted. */
export async function takeWhole(room: MergeRoom, request: WholeRequest): Promise<Taken> {
  const { tip, head, commits, message, asMerge } = request;
  const merged = await room.repository.mergeInto({ tip, commit: head });
  if (merged.kind === "conflict") return { tip, commits: 0, conflicts: merged.conflicts };
  const { tree } = merged;
  if (!asMerge && tree === (await treeOf(room, tip))) {
    return { tip, commits: commits.length, conflicts: [] };
  }
  const last = commits.at(-1);
  const made = await room.repository.commitTree({
    tree,
    parents: asMerge ? [tip, head] : [tip],
    message,
    author: asMerge ? OWN_IDENTITY : (last?.author ?? OWN_IDENTITY),
    dateMs: last?.dateMs ?? 0,
  });
  return { tip: made, commits: commits.length, conflicts: [] };
}

export function unrelated(): MergeConflict {
  return { path: "", kind: "unrelated-history" };
}

/** The tip's files on another parent: what the sides are compared from is that parent then. */
async function standIn(room: MergeRoom, tip: string, parent: string): Promise<string> {
  if (tip === parent) return tip;
  const tree = await treeOf(room, tip);
  const parents = [parent];
  const author = OWN_IDENTITY;
  return room.repository.commitTree({ tree, parents, message: "", author, dateMs: 0 });
}

async function treeOf({ repository }: MergeRoom, commit: string): Promise<string> {
  const found = await repository.readCommit(commit);
  if (found === null) throw new Error(`the commit ${commit} is gone`);
  return found.tree;
}
