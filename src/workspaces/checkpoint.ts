import type { Result } from "../domain/failure.ts";
import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "./local-git.ts";
import type { ExecEnding, Workspace } from "./workspace.ts";
import { workspaceFailure } from "./workspace-failure.ts";

export interface CheckpointRequest {
  readonly message: string;
  readonly author: { readonly name: string; readonly email: string };
  readonly timeoutMs: number;
}

const BROKEN_REPOSITORY = 81;
const NOT_STAGED = 82;
/** What `git commit` answers where there is nothing to commit; it has then nothing to complain of. */
const NOTHING_TO_COMMIT = 1;

/**
 * Two git processes in one command; what the first has to say goes to the standard output, so that
 * the other channel is the commit's alone. Locks that a killed agent left behind go first: none of its
 * processes is running any more. Its repository is named outright, so that git never looks for
 * another one above it, and must be a folder of its own, so that it cannot stand for another one
 * elsewhere: the commit would be made there.
 */
const SCRIPT = `
[ -d .git ] && [ ! -L .git ] && [ -f .git/HEAD ] && [ ! -e .git/commondir ] || exit ${BROKEN_REPOSITORY}
export GIT_DIR="$PWD/.git" GIT_WORK_TREE="$PWD"
IFS= read -r head < .git/HEAD
case $head in
  *..*) ;;
  'ref: refs/heads/'*) rm -f ".git/\${head#ref: }.lock" ;;
esac
rm -f .git/index.lock .git/HEAD.lock
git "$@" add -A 2>&1 || exit ${NOT_STAGED}
exec git "$@" commit -q --no-verify --cleanup=whitespace -m "$MYCELIUM_MESSAGE"
`;

/**
 * Commits everything in the repository that is not committed and not ignored, on top of HEAD, and
 * says whether there was anything. No hooks, no signature; nothing else may run in the workspace.
 *
 * Fails with `workspace-failed` where the repository is broken or the time is over, and with
 * `disk-full`.
 */
export async function checkpoint(
  workspace: Workspace,
  request: CheckpointRequest,
): Promise<Result<{ readonly committed: boolean }>> {
  const { name, email } = request.author;
  const { ending, stdout, stderr } = await workspace.exec({
    command: ["/bin/sh", "-c", SCRIPT, "checkpoint", ...HARDENED_OPTIONS],
    env: {
      ...HARDENED_ENVIRONMENT,
      GIT_AUTHOR_NAME: name,
      GIT_AUTHOR_EMAIL: email,
      GIT_COMMITTER_NAME: name,
      GIT_COMMITTER_EMAIL: email,
      MYCELIUM_MESSAGE: request.message,
    },
    timeoutMs: request.timeoutMs,
  });
  if (ending.kind === "exited" && ending.code === 0)
    return { ok: true, value: { committed: true } };
  const said = stderr.text.trim();
  if (ending.kind === "exited" && ending.code === NOTHING_TO_COMMIT && said === "") {
    return { ok: true, value: { committed: false } };
  }
  const output = [stdout.text.trim(), said].filter((part) => part !== "").join("\n");
  const cause = /^(?:error|fatal): .*$/m.exec(output)?.[0];
  const what = cause === undefined ? explain(ending) : `${explain(ending)}: ${cause}`;
  return workspaceFailure(output === "" ? what : `${what}\n${output}`);
}

function explain(ending: ExecEnding): string {
  if (ending.kind !== "exited") return `the checkpoint was not made (${ending.kind})`;
  if (ending.code === BROKEN_REPOSITORY) return "the repository has lost its .git folder";
  if (ending.code === NOT_STAGED) return "the files could not be staged";
  return `the commit failed with exit code ${ending.code}`;
}
