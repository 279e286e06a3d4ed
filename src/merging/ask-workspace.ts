import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Failure, Result } from "../domain/failure.ts";
import { OWN_IDENTITY } from "../git/git.ts";
import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "../workspaces/local-git.ts";
import type { LastingWorkspace } from "../workspaces/lasting-workspace.ts";
import type { ExecResult } from "../workspaces/workspace.ts";

/** A repository in a workspace, at a commit. */
export interface Position {
  readonly objectFormat: "sha1" | "sha256";
  readonly head: string;
  /** Files that are tracked and changed, or staged; the first of them. */
  readonly dirty: readonly string[];
}

export interface Place {
  readonly workspace: LastingWorkspace;
  /** The repository's folder in it; the workspace's own where it is left out. */
  readonly path?: string | undefined;
}

const TIMEOUT_MS = 300_000;
const OUTPUT_BYTES_MAX = 65_536;
const DIRTY_SHOWN_MAX = 20;

const NO_REPOSITORY = 81;
const NO_COMMIT = 82;
const MOVED = 83;
const DIRTY = 84;
const NOT_ADVANCED = 85;

/** Everything of git's runs in the workspace, on the repository that is named outright. */
const BEGIN = `
[ -d .git ] && [ ! -L .git ] && [ -f .git/HEAD ] || exit ${NO_REPOSITORY}
export GIT_DIR="$PWD/.git" GIT_WORK_TREE="$PWD"
`;

const STATUS = "status --porcelain --untracked-files=no --ignore-submodules=none";
const HEAD = "rev-parse --verify -q 'HEAD^{commit}'";

const POSITION_SCRIPT = `${BEGIN}
git "$@" rev-parse --show-object-format 'HEAD^{commit}' 2> /dev/null || {
  git "$@" rev-parse --show-object-format > /dev/null || exit ${NO_REPOSITORY}
  exit ${NO_COMMIT}
}
git "$@" ${STATUS} | head -n ${DIRTY_SHOWN_MAX}
`;

/** How many commits there are that the other side does not know, and a bundle of them. */
const BUNDLE_SCRIPT = `${BEGIN}
out=$1 head=$2 known=$3
shift 3
not= count=
[ "$(git "$@" ${HEAD})" = "$head" ] || exit ${MOVED}
if [ -n "$known" ] && count=$(git "$@" rev-list --count HEAD "^$known" 2>/dev/null); then not="^$known"
else count=$(git "$@" rev-list --count HEAD) || exit 1; fi
echo "$count"
[ "$count" = 0 ] && exit 0
git "$@" -c pack.window=0 -c pack.compression=1 bundle create -q "$out" HEAD $not && wc -c < "$out"
`;

const ADVANCE_SCRIPT = `${BEGIN}
bundle=$1 before=$2 after=$3 branches=$4
shift 4
trap 'rm -f "$bundle"' EXIT
[ "$(git "$@" ${HEAD})" = "$before" ] || exit ${MOVED}
[ -z "$(git "$@" ${STATUS})" ] || exit ${DIRTY}
git "$@" bundle unbundle "$bundle" > /dev/null || exit 1
git "$@" -c merge.verifySignatures=false merge -q --ff-only --no-verify "$after" || exit ${NOT_ADVANCED}
printf '%s' "$branches" | git "$@" update-ref --stdin
`;

const HOLDS_SCRIPT = `${BEGIN}
commit=$1
shift
git "$@" merge-base --is-ancestor "$commit" HEAD
`;

/** Where a workspace's repository stands. Refuses where there is none, or no commit yet. */
export async function askPosition(place: Place): Promise<Result<Position>> {
  const result = await runIn(place, POSITION_SCRIPT, []);
  const code = codeOf(result);
  const [objectFormat, head = "", ...dirty] = result.stdout.text.split("\n").filter(Boolean);
  const isFormat = objectFormat === "sha1" || objectFormat === "sha256";
  if (code === 0 && isFormat && /^[0-9a-f]{40,64}$/.test(head)) {
    return { ok: true, value: { objectFormat, head, dirty: dirty.map((line) => line.slice(3)) } };
  }
  const { id } = place.workspace;
  if (code === NO_REPOSITORY) return refuse(`${id} has no git repository there`, place);
  if (code === NO_COMMIT) return refuse(`the repository of ${id} has no commit yet`, place);
  return failed(`${id} could not be asked where it stands`, result);
}

export interface BringOut {
  readonly folder: string;
  readonly head: string;
  /** What is there already. */
  readonly known: string | null;
  readonly bytesMax: number;
}

/**
 * A bundle of `head` in `folder` on the host, without what `known` reaches; `null` where nothing is
 * left of it. Refuses more than `bytesMax`.
 */
export async function bringOut(place: Place, request: BringOut): Promise<Result<string | null>> {
  const { workspace } = place;
  const name = `merge-${randomUUID()}.bundle`;
  const inside = `${workspace.contextDir}/${name}`;
  const { folder, head, known, bytesMax } = request;
  const result = await runIn(place, BUNDLE_SCRIPT, [inside, head, known ?? ""]);
  if (codeOf(result) === MOVED) return refuse(`${workspace.id} moved while it was read`, place);
  if (codeOf(result) !== 0)
    return failed(`the commits of ${workspace.id} are not to be had`, result);
  const [count, bytes = "0"] = result.stdout.text.trim().split("\n");
  if (count === "0") return { ok: true, value: null };
  const path = join(folder, name);
  // What it says of the size may be a lie: whoever takes the bundle looks again.
  const isTooLarge = Number(bytes) > bytesMax;
  const carried = isTooLarge
    ? tooLarge(workspace.id, { bytes: Number(bytes), bytesMax })
    : await workspace.download(inside, path);
  await workspace.exec({ command: ["/bin/rm", "-f", inside], timeoutMs: TIMEOUT_MS });
  return carried.ok ? { ok: true, value: path } : carried;
}

const MIB = 1024 * 1024;

function tooLarge(
  id: string,
  details: { readonly bytes: number; readonly bytesMax: number },
): { readonly ok: false; readonly failure: Failure } {
  const { bytes, bytesMax } = details;
  const most = `${Math.floor(bytesMax / MIB)} MiB is the most that is merged (MYCELIUM_MERGE_MB)`;
  const message = `the commits of ${id} have ${bytes} bytes as a pack; ${most}`;
  const hint = "raise MYCELIUM_MERGE_MB, or merge fewer or smaller commits";
  return { ok: false, failure: { code: "merge-refused", message, details: { ...details }, hint } };
}

export interface Advance {
  /** On the host. */
  readonly bundle: string;
  readonly before: string;
  readonly after: string;
  readonly branches: readonly { readonly name: string; readonly commit: string }[];
}

export type Advanced =
  | { readonly kind: "advanced" }
  /** Somebody committed meanwhile. */
  | { readonly kind: "moved" }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "failed"; readonly failure: Failure };

/** Brings commits into a workspace and its branch forward to the last of them, or changes nothing. */
export async function advance(place: Place, request: Advance): Promise<Advanced> {
  const { workspace } = place;
  const inside = `${workspace.contextDir}/merge-${randomUUID()}.bundle`;
  const carried = await workspace.upload(request.bundle, inside);
  if (!carried.ok) return { kind: "failed", failure: carried.failure };
  const branches = request.branches
    .map(({ name, commit }) => `update refs/heads/${name} ${commit}\n`)
    .join("");
  const { before, after } = request;
  const result = await runIn(place, ADVANCE_SCRIPT, [inside, before, after, branches]);
  const code = codeOf(result);
  if (code === 0) return { kind: "advanced" };
  if (code === MOVED) return { kind: "moved" };
  const { id } = workspace;
  if (code === DIRTY) return { kind: "refused", message: dirtyMessage(id, []) };
  if (code === NOT_ADVANCED) {
    return { kind: "refused", message: `${id} took nothing: ${saidBy(result)}` };
  }
  return { kind: "failed", failure: failed(`${id} could not be brought forward`, result).failure };
}

/** Whether a commit is in what HEAD reaches; `false` too where that cannot be told. */
export async function holdsCommit(place: Place, commit: string): Promise<boolean> {
  return codeOf(await runIn(place, HOLDS_SCRIPT, [commit])) === 0;
}

export function dirtyMessage(id: string, files: readonly string[]): string {
  const which = files.length === 0 ? "" : `: ${files.join(", ")}`;
  return `the target ${id} has changes that are not committed${which}`;
}

function runIn(
  { workspace, path }: Place,
  script: string,
  args: readonly string[],
): Promise<ExecResult> {
  return workspace.exec({
    command: ["/bin/sh", "-c", script, "merge", ...args, ...HARDENED_OPTIONS],
    env: {
      ...HARDENED_ENVIRONMENT,
      GIT_COMMITTER_NAME: OWN_IDENTITY.name,
      GIT_COMMITTER_EMAIL: OWN_IDENTITY.email,
    },
    ...(path !== undefined && { cwd: path }),
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
}

function codeOf({ ending }: ExecResult): number | null {
  return ending.kind === "exited" ? ending.code : null;
}

function saidBy({ ending, stdout, stderr }: ExecResult): string {
  if (ending.kind === "unstartable") return ending.message;
  return stderr.text.trim() || stdout.text.trim() || ending.kind;
}

function refuse(
  message: string,
  { workspace, path }: Place,
): { readonly ok: false; readonly failure: Failure } {
  const details = { workspace: workspace.id, path: path ?? workspace.repositoryDir };
  const hint = "merging needs a git repository with a commit in each workspace";
  return { ok: false, failure: { code: "merge-refused", message, details, hint } };
}

function failed(
  what: string,
  result: ExecResult,
): { readonly ok: false; readonly failure: Failure } {
  const message = `${what}: ${saidBy(result)}`;
  return { ok: false, failure: { code: "merge-failed", message, details: {}, hint: null } };
}
