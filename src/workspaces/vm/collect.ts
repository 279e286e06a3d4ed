import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp } from "node:fs/promises";
import { once } from "node:events";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { PACKING } from "../local-collect.ts";
import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "../local-git.ts";
import { repositoryConfig } from "../local-clone.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { execInGuest } from "./agent-exec.ts";
import { readGuestFile } from "./agent-requests.ts";
import { guestEnvironment, OUTBOX, REPOSITORY } from "./guest.ts";

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const HINT = "the task will be tried again in a new workspace";

/**
 * In the guest, so that nothing of the worker's is read here. As on the host, the bundle is made by
 * a repository of our own that borrows the worker's objects: its configuration, hooks, refs and
 * replacements mean nothing. Prints the head, and the bundle's folder where there is one.
 */
const SCRIPT = `
fail() { echo "the workspace's repository is broken: $1" >&2; exit 1; }
base=$1 config=$2 blocks=$3
shift 3
git=$PWD/.git
for folder in "$git" "$git/objects" "$git/refs" "$git/refs/heads"; do
  [ -d "$folder" ] && [ ! -L "$folder" ] || fail "$folder is missing or not a folder"
done
[ -f "$git/HEAD" ] && [ ! -L "$git/HEAD" ] || fail "HEAD is missing or not a plain file"
[ "$(wc -c < "$git/HEAD")" -le 4096 ] || fail "HEAD names no branch"
head=$(cat "$git/HEAD")
case $head in
  *..*|*'
'*) fail "HEAD names no branch" ;;
  'ref: refs/heads/'*)
    ref=\${head#ref: }
    if [ -f "$git/$ref" ] && [ ! -L "$git/$ref" ]; then head=$(head -c 4096 "$git/$ref")
    else head=$(awk -v ref="$ref" '$2 == ref { print $1 }' "$git/packed-refs" 2>/dev/null)
    fi ;;
esac
case $head in ''|*[!0-9a-f]*) fail "HEAD names no commit" ;; esac
echo "$head"
[ "$head" = "$base" ] && exit 0
[ -d ${OUTBOX} ] && [ ! -L ${OUTBOX} ] || fail "${OUTBOX} is not a folder any more"
place=$(mktemp -d ${OUTBOX}/collected-XXXXXX) || exit 1
mkdir -p "$place/git/objects/info" "$place/git/refs/heads" || exit 1
printf '%s' "$config" > "$place/git/config"
echo "$git/objects" > "$place/git/objects/info/alternates"
echo "$head" > "$place/git/HEAD"
[ -f "$git/shallow" ] && [ ! -L "$git/shallow" ] && cp "$git/shallow" "$place/git/shallow"
export GIT_DIR="$place/git"
cd "$place" || exit 1
ulimit -f "$blocks"
git "$@" bundle create -q "$place/commits.bundle" "$base..HEAD" || exit 1
echo "$place"
`;

export interface GuestCollectRequest {
  readonly base: string;
  readonly objectFormat: "sha1" | "sha256";
  /** On the host. */
  readonly outbox: string;
  readonly timeoutMs: number;
  readonly bundleBytesMax: number;
  readonly destroyed: AbortSignal;
}

export async function collectFromGuest(
  agent: AgentConnection,
  request: GuestCollectRequest,
): Promise<Result<{ readonly bundle: string | null; readonly head: string }>> {
  const { base, timeoutMs, destroyed } = request;
  const config = repositoryConfig(request.objectFormat);
  const blocks = String(Math.ceil(request.bundleBytesMax / 512));
  const options = [...HARDENED_OPTIONS, ...PACKING];
  const { ending, stdout, stderr } = await execInGuest(agent, {
    command: ["/bin/sh", "-c", SCRIPT, "collect", base, config, blocks, ...options],
    cwd: REPOSITORY,
    env: { ...guestEnvironment({}), ...HARDENED_ENVIRONMENT },
    timeoutMs,
    outputBytesMax: 16_384,
    destroyed,
  });
  if (ending.kind !== "exited" || ending.code !== 0) {
    const how = ending.kind === "timed-out" ? "it took too long and was ended" : ending.kind;
    const said = stderr.text.trim();
    return workspaceFailure(`cannot collect: ${said === "" ? how : said}`, { hint: HINT });
  }
  const [head = "", place] = stdout.text.trim().split("\n");
  if (!COMMIT.test(head)) return workspaceFailure("cannot collect: the guest named no commit");
  if (head === base || place === undefined) return { ok: true, value: { bundle: null, head } };
  const bundle = await bringOut(agent, `${place}/commits.bundle`, request);
  return bundle.ok ? { ok: true, value: { bundle: bundle.value, head } } : bundle;
}

/** A new folder on the host for each: nothing is ever written over. */
async function bringOut(
  agent: AgentConnection,
  path: string,
  { outbox, bundleBytesMax: bytesMax }: GuestCollectRequest,
): Promise<Result<string>> {
  await mkdir(outbox, { recursive: true });
  const target = join(await mkdtemp(join(outbox, "collected-")), "commits.bundle");
  const file = createWriteStream(target);
  const read = await readGuestFile(agent, {
    path,
    bytesMax,
    onPiece: async (piece) => {
      if (!file.write(piece)) await once(file, "drain");
    },
  });
  file.end();
  await once(file, "close");
  return read.ok ? { ok: true, value: target } : read;
}
