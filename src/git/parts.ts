import type { Clock } from "../lib/clock.ts";
import type { ChangeLister } from "./changes.ts";
import type { Git } from "./git.ts";
import type { ObjectReader } from "./objects.ts";

/** What the parts of one open repository share. */
export interface RepositoryParts {
  readonly git: Git;
  readonly objects: ObjectReader;
  readonly changes: ChangeLister;
  readonly clock: Clock;
  readonly gitDir: string;
  /** The main worktree, where it is known: where the repository was opened in it. */
  readonly mainWorktree: string | null;
  readonly objectFormat: ObjectFormat;
}

export type ObjectFormat = "sha1" | "sha256";

/** The id that stands for "nothing" where git wants an old or new value. */
export function nullId(format: ObjectFormat): string {
  return "0".repeat(format === "sha1" ? 40 : 64);
}
