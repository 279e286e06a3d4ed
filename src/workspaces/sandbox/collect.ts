import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import type { ProcessResult } from "../../lib/process.ts";
import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "../local-git.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import { INSIDE } from "./layout.ts";

/** Runs the script below inside. */
export type StreamInside = (request: {
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly onOutput: (stream: "stdout" | "stderr", chunk: Buffer) => void;
  readonly signal: AbortSignal;
}) => Promise<ProcessResult>;

export interface CollectRequest {
  readonly stream: StreamInside;
  readonly base: string;
  /** Where bundles go on the host. */
  readonly outbox: string;
  readonly bundleBytesMax: number;
}

const BROKEN = 97;

/** Nobody reads a bundle twice, and what only claims to know what objects hold is not asked. */
const PACKING = [
  "pack.threads=1",
  "pack.compression=1",
  "pack.window=0",
  "pack.useBitmaps=false",
  "core.commitGraph=false",
  "core.multiPackIndex=false",
].flatMap((setting) => ["-c", setting]);

/**
 * Says the commit that HEAD names, read by hand, on the first line, and after it the bundle. The
 * bundle is made by a repository of our own that borrows the worker's objects: the worker's
 * configuration, hooks, refs, replacements and attributes mean nothing.
 */
const SCRIPT = `
base=$1; shift
git=${INSIDE.repository}/.git
broken() { echo "$1" >&2; exit ${BROKEN}; }
plain() { [ -f "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %s -- "$1")" -le "$2" ]; }
is_commit() {
  case $1 in *[!0-9a-f]*) return 1 ;; esac
  [ \${#1} -eq 40 ] || [ \${#1} -eq 64 ]
}
for folder in "$git" "$git/objects" "$git/refs"; do
  [ -d "$folder" ] && [ ! -L "$folder" ] || broken "$folder is missing or not a folder"
done
plain "$git/HEAD" 4096 || broken "$git/HEAD is missing or not a plain file"
head=$(tr -d '\\000' < "$git/HEAD")
case $head in
  "ref: refs/heads/"*)
    ref=\${head#ref: }
    git check-ref-format "$ref" || broken "$git/HEAD names no branch"
    if plain "$git/$ref" 4096; then
      head=$(tr -d '\\000' < "$git/$ref")
    elif plain "$git/packed-refs" 16777216; then
      head=
      while read -r id name; do [ "$name" != "$ref" ] || head=$id; done < "$git/packed-refs"
    fi
    is_commit "$head" || broken "$ref names no commit" ;;
esac
is_commit "$head" || broken "$git/HEAD names no branch"
echo "$head"
[ "$head" != "$base" ] || exit 0
collector=$(mktemp -d) || exit 1
trap 'rm -rf "$collector"' EXIT
mkdir -p "$collector/objects/info" "$collector/refs/heads"
cp ${INSIDE.seed}/files/config "$collector/config"
[ ! -f ${INSIDE.seed}/files/shallow ] || cp ${INSIDE.seed}/files/shallow "$collector/shallow"
{ echo "$git/objects"; cat ${INSIDE.seed}/files/objects/info/alternates; } > "$collector/objects/info/alternates"
echo "$head" > "$collector/HEAD"
GIT_DIR=$collector git "$@" bundle create -q - "$base..HEAD"
`;

/** Brings `base..HEAD` out as a bundle on the host. */
export async function collectInside(
  request: CollectRequest,
): Promise<Result<{ readonly bundle: string | null; readonly head: string }>> {
  const bundle = join(request.outbox, `${randomUUID()}.bundle`);
  try {
    mkdirSync(request.outbox, { recursive: true });
    const receiver = openReceiver(bundle, request.bundleBytesMax);
    const result = await receive(request, receiver);
    const collected = judge(result, receiver, request);
    if (!collected.ok || collected.value.head === request.base) rmSync(bundle, { force: true });
    if (!collected.ok) return collected;
    const { head } = collected.value;
    return { ok: true, value: { head, bundle: head === request.base ? null : bundle } };
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return workspaceFailure(`cannot collect: ${String(error)}`, { cause: error });
  }
}

async function receive(request: CollectRequest, receiver: Receiver): Promise<ProcessResult> {
  const options = [...HARDENED_OPTIONS, ...PACKING];
  try {
    return await request.stream({
      command: ["/bin/sh", "-c", SCRIPT, "collect", request.base, ...options],
      env: HARDENED_ENVIRONMENT,
      onOutput: (stream, chunk) => {
        if (stream === "stdout") receiver.push(chunk);
      },
      signal: receiver.signal,
    });
  } finally {
    receiver.close();
  }
}

interface Receiver {
  readonly signal: AbortSignal;
  push(chunk: Buffer): void;
  close(): void;
  /** The first line, and what went wrong with the rest. */
  head(): string;
  trouble(): string | null;
}

/** Writes all but the first line to a file, up to a limit, and keeps what the disk refuses. */
function openReceiver(path: string, bytesMax: number): Receiver {
  const file = openSync(path, "wx", 0o600);
  const stop = new AbortController();
  let line: Buffer = Buffer.alloc(0);
  let isInBundle = false;
  let bytes = 0;
  let trouble: string | null = null;
  const write = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes > bytesMax) trouble ??= `the bundle grew beyond ${bytesMax} bytes`;
    try {
      if (trouble === null) for (let at = 0; at < chunk.length;) at += writeSync(file, chunk, at);
    } catch (error) {
      trouble = `cannot write the bundle: ${String(error)}`;
    }
    if (trouble !== null) stop.abort();
  };
  return {
    signal: stop.signal,
    push: (chunk) => {
      if (isInBundle) return write(chunk);
      line = Buffer.concat([line, chunk]);
      const end = line.indexOf("\n");
      if (end === -1) return;
      isInBundle = true;
      const rest = line.subarray(end + 1);
      line = line.subarray(0, end);
      if (rest.length > 0) write(rest);
    },
    close: () => closeSync(file),
    head: () => line.toString(),
    trouble: () => trouble,
  };
}

const HINT = "the task will be tried again in a new workspace";

function judge(
  { ending, stderr }: ProcessResult,
  receiver: Receiver,
  { base }: CollectRequest,
): Result<{ readonly head: string }> {
  const trouble = receiver.trouble();
  if (trouble !== null) return workspaceFailure(trouble);
  const said = stderr.bytes.toString().trim();
  if (ending.kind === "exited" && ending.code === BROKEN) {
    return workspaceFailure(`the workspace's repository is broken: ${said}`, { hint: HINT });
  }
  if (ending.kind === "timed-out")
    return workspaceFailure("collecting took too long and was ended");
  const head = receiver.head();
  const isCommit = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(head) && head.length === base.length;
  if (ending.kind !== "exited" || ending.code !== 0 || !isCommit) {
    const how = ending.kind === "exited" ? `exit code ${ending.code}` : ending.kind;
    return workspaceFailure(`git bundle failed (${how}): ${said}`);
  }
  return { ok: true, value: { head } };
}
