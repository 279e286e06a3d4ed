import { splitAtNul } from "./commits.ts";
import type { RepositoryParts } from "./parts.ts";
import { assertObjectIds } from "./ref-name.ts";

export interface HistoryRange {
  /** Left out, with all that it stands on; `null` for the whole history. */
  readonly from: string | null;
  readonly to: string;
}

/** The names of the trailers that tell which attempt a commit landed. */
export interface LandedTrailers {
  readonly run: string;
  readonly task: string;
  readonly attempt: string;
}

/** A commit of the branch that says of itself which attempt it landed. */
export interface LandedCommit {
  readonly commit: string;
  readonly run: string;
  readonly task: string;
  readonly attempt: string;
}

/** Between several values of one trailer: then it is none of ours. */
const SEVERAL = "\u001F";

/** The commits of a branch that carry all three trailers once, oldest first. One process. */
export async function findLanded(
  { git }: RepositoryParts,
  { from, to }: HistoryRange,
  trailers: LandedTrailers,
): Promise<readonly LandedCommit[]> {
  assertObjectIds(to, ...(from === null ? [] : [from]));
  const format = [trailers.run, trailers.task, trailers.attempt].map(valueOf);
  const { stdout } = await git.run([
    "rev-list",
    "--first-parent",
    "--reverse",
    "--no-commit-header",
    "--encoding=UTF-8",
    `--format=tformat:${["%H", ...format, ""].join("%x00")}`,
    to,
    ...(from === null ? [] : [`^${from}`]),
  ]);
  return parse(splitAtNul(stdout));
}

function valueOf(trailer: string): string {
  return `%(trailers:key=${trailer},valueonly=true,unfold=true,separator=%x1F)`;
}

function parse(fields: readonly string[]): readonly LandedCommit[] {
  const landed: LandedCommit[] = [];
  for (let index = 0; index + 3 < fields.length; index += 4) {
    // A line end stands between one commit's last NUL and the next commit's id.
    const [commit = "", ...values] = fields.slice(index, index + 4).map((field) => field.trim());
    const [run = "", task = "", attempt = ""] = values;
    if (values.some((value) => value === "" || value.includes(SEVERAL))) continue;
    landed.push({ commit, run, task, attempt });
  }
  return landed;
}
