/** Names of what a task reads and writes. `repo` is the root; `a` covers `a/b`. */
export interface LockSet {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

/** The lock that covers every other. */
export const REPOSITORY_LOCK = "repo";

function covers(outer: string, inner: string): boolean {
  return outer === inner || outer === REPOSITORY_LOCK || inner.startsWith(`${outer}/`);
}

function meet(left: string, right: string): boolean {
  return covers(left, right) || covers(right, left);
}

function anyMeet(left: readonly string[], right: readonly string[]): boolean {
  return left.some((one) => right.some((other) => meet(one, other)));
}

/** Whether two tasks must not run at once: a write excludes reads and writes, reads share. */
export function conflicts(left: LockSet, right: LockSet): boolean {
  return (
    anyMeet(left.writes, right.writes) ||
    anyMeet(left.writes, right.reads) ||
    anyMeet(left.reads, right.writes)
  );
}
