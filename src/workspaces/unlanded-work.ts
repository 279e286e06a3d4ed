import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "./local-git.ts";
import type { Workspace } from "./workspace.ts";

export interface WorkQuestion {
  /** Where the workspace's work began. */
  readonly base: string;
  readonly timeoutMs: number;
}

const OUTPUT_BYTES_MAX = 65_536;

/** Says `clean` and nothing else where HEAD is the base and nothing is changed or new. */
const SCRIPT = `
base=$1
shift
[ -d .git ] && [ ! -L .git ] && [ -f .git/HEAD ] || exit 1
export GIT_DIR="$PWD/.git" GIT_WORK_TREE="$PWD" GIT_OPTIONAL_LOCKS=0
head=$(git "$@" rev-parse --verify HEAD) && [ "$head" = "$base" ] || exit 1
changes=$(git "$@" status --porcelain --untracked-files=normal) && [ -z "$changes" ] || exit 1
echo clean
`;

/**
 * Whether a workspace holds commits beyond its base or files that are not committed; ignored files
 * are nobody's work. Changes nothing. What cannot be looked at counts as work.
 */
export async function holdsWork(workspace: Workspace, question: WorkQuestion): Promise<boolean> {
  const { ending, stdout } = await workspace.exec({
    command: ["/bin/sh", "-c", SCRIPT, "holds-work", question.base, ...HARDENED_OPTIONS],
    env: HARDENED_ENVIRONMENT,
    timeoutMs: question.timeoutMs,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  return !(ending.kind === "exited" && ending.code === 0 && stdout.text.trim() === "clean");
}
