import { closeSync, mkdirSync, mkdtempSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { PACKING } from "../local-collect.ts";
import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "../local-git.ts";
import type { ExecResult, Workspace } from "../workspace.ts";
import { workspaceFailure } from "../workspace-failure.ts";

export interface CollectRequest {
  readonly workspace: Workspace;
  /** On the host. */
  readonly outbox: string;
  readonly base: string;
  readonly timeoutMs: number;
  readonly bundleBytesMax: number;
}

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const HINT = "the task will be tried again in a new workspace";

/** Says which commit HEAD names, without git, and only where folders and files are real ones. */
const READ_HEAD = `
broken() { echo "$1" >&2; exit 81; }
real() { [ -d "$1" ] && [ ! -L "$1" ]; }
plain() { [ -f "$1" ] && [ ! -L "$1" ] && head -c 4096 "$1"; }
for folder in .git .git/objects .git/refs; do
  real "$folder" || broken "$folder is missing or not a folder"
done
head=$(plain .git/HEAD) || broken ".git/HEAD is missing or not a plain file"
case $head in
  *..*) broken ".git/HEAD names no branch" ;;
  'ref: refs/heads/'*) ref=\${head#ref: } ;;
  *) printf %s "$head"; exit 0 ;;
esac
at=.git rest=$ref
while [ "$rest" != "\${rest#*/}" ]; do
  at=$at/\${rest%%/*} rest=\${rest#*/}
  [ ! -e "$at" ] || real "$at" || broken "$at is not a folder"
done
plain ".git/$ref" && exit 0
[ -f .git/packed-refs ] && [ ! -L .git/packed-refs ] || broken "$ref names no commit"
while read -r id name; do
  [ "$name" != "$ref" ] || { printf %s "$id"; exit 0; }
done < .git/packed-refs
broken "$ref names no commit"
`;

/** A repository of our own borrows the worker's objects: nothing else of the worker's means anything. */
const BUNDLE = `
set -e
format=$1 head=$2 range=$3
shift 3
own=$(mktemp -d /tmp/collect.XXXXXX)
trap 'rm -rf "$own"' EXIT
mkdir -p "$own/refs/heads" "$own/objects/info"
printf '%s\\n' "$PWD/.git/objects" > "$own/objects/info/alternates"
printf '%s\\n' "$head" > "$own/HEAD"
if [ "$format" = sha256 ]; then
  printf '[core]\\nrepositoryformatversion = 1\\n[extensions]\\nobjectformat = sha256\\n' > "$own/config"
else
  printf '[core]\\nrepositoryformatversion = 0\\n' > "$own/config"
fi
if [ -f .git/shallow ] && [ ! -L .git/shallow ]; then cp .git/shallow "$own/shallow"; fi
GIT_DIR="$own" git "$@" bundle create -q - "$range"
`;

/**
 * Brings a worker's commits out as a bundle that git makes inside the container, from a repository
 * that has only the worker's objects; on the host it is a file and nothing else.
 */
export async function collectBundle(
  request: CollectRequest,
): Promise<Result<{ readonly bundle: string | null; readonly head: string }>> {
  const { workspace, base, timeoutMs } = request;
  const read = await workspace.exec({ command: READ_HEAD, timeoutMs });
  const head = read.stdout.text.trim();
  if (!isSuccess(read) || !COMMIT.test(head)) {
    return broken(isSuccess(read) ? ".git/HEAD names no commit" : complaintOf(read));
  }
  if (head === base) return { ok: true, value: { bundle: null, head } };
  return makeBundle(request, head);
}

async function makeBundle(
  { workspace, outbox, base, timeoutMs, bundleBytesMax }: CollectRequest,
  head: string,
): Promise<Result<{ readonly bundle: string; readonly head: string }>> {
  mkdirSync(outbox, { recursive: true });
  const bundle = join(mkdtempSync(join(outbox, "collected-")), "commits.bundle");
  const format = base.length === 64 ? "sha256" : "sha1";
  const options = [...HARDENED_OPTIONS, ...PACKING];
  const tooMuch = new AbortController();
  const file = openSync(bundle, "wx");
  let bytes = 0;
  let trouble: unknown;
  const keep = (chunk: Buffer): void => {
    try {
      writeSync(file, chunk);
    } catch (error) {
      trouble = error;
      tooMuch.abort();
    }
  };
  try {
    const made = await workspace.exec({
      command: ["/bin/sh", "-c", BUNDLE, "bundle", format, head, `${base}..HEAD`, ...options],
      env: HARDENED_ENVIRONMENT,
      timeoutMs,
      signal: tooMuch.signal,
      outputBytesMax: 16_384,
      onOutput: (stream, chunk) => {
        if (stream !== "stdout" || tooMuch.signal.aborted) return;
        bytes += chunk.length;
        if (bytes > bundleBytesMax) tooMuch.abort();
        else keep(chunk);
      },
    });
    if (trouble !== undefined) {
      return workspaceFailure(`cannot keep the bundle: ${(trouble as Error).message}`, {
        cause: trouble,
      });
    }
    if (tooMuch.signal.aborted)
      return workspaceFailure(`the bundle is over ${bundleBytesMax} bytes`);
    if (!isSuccess(made)) return workspaceFailure(`git bundle ${complaintOf(made)}`);
    return { ok: true, value: { bundle, head } };
  } finally {
    closeSync(file);
  }
}

function broken(message: string): Result<never> {
  return workspaceFailure(`the workspace's repository is broken: ${message}`, { hint: HINT });
}

function isSuccess({ ending }: ExecResult): boolean {
  return ending.kind === "exited" && ending.code === 0;
}

/** Why a command of ours did not succeed. */
export function complaintOf({ ending, stderr }: ExecResult): string {
  const said = stderr.text.trim();
  if (ending.kind === "unstartable") return ending.message;
  if (ending.kind === "timed-out") return "took too long and was ended";
  if (said !== "") return said;
  return ending.kind === "exited" ? `failed with exit code ${ending.code}` : `was ${ending.kind}`;
}
