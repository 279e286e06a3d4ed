import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { isRefName } from "../../git/ref-name.ts";
import { CLONE_SETTINGS } from "../local-clone.ts";
import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "../local-git.ts";
import type { WorkspaceSeed } from "../workspace.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import { complaintOf } from "./collect.ts";
import { makeExecTails, outputOf } from "./exec-output.ts";
import type { GuestConnection } from "./guest-connection.ts";
import { GUEST } from "./layout.ts";

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const FILE_TIMEOUT_MS = 60_000;

/**
 * The bundle comes on the standard input. Nothing is fetched, so that nothing but the objects and
 * one branch is there afterwards.
 */
const SCRIPT = `
set -e
format=$1 branch=$2 commit=$3
shift 3
git init -q --template= --object-format="$format" -b "$branch" .
printf '%s' "$MYCELIUM_SETTINGS" >> .git/config
git "$@" bundle unbundle /dev/stdin > /dev/null
mkdir -p .git/info
[ ! -f ${GUEST.context}/.shallow ] || mv ${GUEST.context}/.shallow .git/shallow
[ ! -f ${GUEST.context}/.exclude ] || mv ${GUEST.context}/.exclude .git/info/exclude
git "$@" update-ref "refs/heads/$branch" "$commit"
git "$@" read-tree -u --reset HEAD
`;

/** Whether a clone can be made of this at all; answers what is wrong with it. */
export function findSeedFault({ branch, commit }: WorkspaceSeed): string | null {
  if (!isRefName(`refs/heads/${branch}`)) return `"${branch}" is not a name for a branch`;
  return COMMIT.test(commit) ? null : `"${commit}" is not a commit's id`;
}

/** Makes the private clone inside a container, from a bundle of the seed's commit. */
export async function seedRepository(request: {
  readonly guest: GuestConnection;
  readonly seed: WorkspaceSeed;
  readonly bundle: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}): Promise<Result<void>> {
  const { guest, seed } = request;
  for (const [from, to] of [
    ["shallow", ".shallow"],
    ["info/exclude", ".exclude"],
  ] as const) {
    const content = await readOptional(join(seed.gitDir, from));
    if (content === null || content.length === 0) continue;
    const target = [GUEST.uid, GUEST.gid, GUEST.roots, GUEST.context, to];
    await guest.write(target, [content], FILE_TIMEOUT_MS);
  }
  const tails = makeExecTails(16_384);
  const { objectFormat, branch, commit } = seed;
  const startedWith = [objectFormat, branch, commit, ...HARDENED_OPTIONS];
  const ran = await guest.run({
    uid: GUEST.uid,
    gid: GUEST.gid,
    roots: GUEST.roots,
    base: GUEST.repository,
    cwd: GUEST.repository,
    command: ["/bin/sh", "-c", SCRIPT, "seed", ...startedWith],
    env: { ...request.env, ...HARDENED_ENVIRONMENT, MYCELIUM_SETTINGS: CLONE_SETTINGS },
    stdin: createReadStream(request.bundle) as AsyncIterable<Buffer>,
    timeoutMs: request.timeoutMs,
    signal: new AbortController().signal,
    onOutput: (stream, chunk) => tails[stream].push(chunk),
  });
  const ending = ran.kind === "lost" ? ({ kind: "signalled", signal: "SIGKILL" } as const) : ran;
  if (ending.kind === "exited" && ending.code === 0) return { ok: true, value: undefined };
  const [stdout, stderr] = [outputOf(tails.stdout), outputOf(tails.stderr)];
  const why = complaintOf({ ending, stdout, stderr, durationMs: 0 });
  return workspaceFailure(`the clone was not made: ${why}`);
}

async function readOptional(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return null;
  }
}
