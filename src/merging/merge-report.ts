import type { MergeConflict } from "../git/candidate.ts";

export const MERGE_STRATEGIES = ["sequential", "branch-per-source", "cherry-pick"] as const;

/**
 * `sequential`: the commits of one source after the other on the target's tip, each source whole or
 * not at all. `branch-per-source`: a merge commit and a branch for each. `cherry-pick`: commit by
 * commit; where only a part is allowed, those before a conflict stay.
 */
export type MergeStrategy = (typeof MERGE_STRATEGIES)[number];

export interface SourceConflict extends MergeConflict {
  /** Sources before this one that changed the same path; none where the target itself did. */
  readonly against: readonly string[];
}

export interface SourceReport {
  readonly name: string;
  readonly head: string;
  /** `merged` is what the result holds, whether or not the target has taken it. */
  readonly status: "merged" | "nothing" | "conflict" | "failed";
  /** Of its commits, so many are in the result. */
  readonly commits: number;
  readonly conflicts: readonly SourceConflict[];
  readonly message: string | null;
  /** Files in it that are changed and not committed, so not merged. */
  readonly uncommitted: readonly string[];
  /** Where the strategy makes one, and the target took it. */
  readonly branch: string | null;
}

export interface MergeReport {
  /** `landed`: the target stands at `after`. `conflicts`, `refused`: it stands where it stood. */
  readonly outcome: "landed" | "nothing" | "conflicts" | "refused" | "dry-run";
  readonly strategy: MergeStrategy;
  readonly target: string;
  readonly before: string;
  /** The commit that was made; `null` where none was. */
  readonly after: string | null;
  readonly commits: number;
  readonly sources: readonly SourceReport[];
  readonly message: string | null;
}
