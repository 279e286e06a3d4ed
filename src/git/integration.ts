import { Refusal } from "../domain/failure.ts";
import { splitAtNul, readBranchTip } from "./commits.ts";
import type { GitResult } from "./git.ts";
import { gitFailed } from "./git-failed.ts";
import { lockPathOf, retryWhile } from "./locks.ts";
import type { RepositoryParts } from "./parts.ts";
import { assertObjectIds, assertRefName, branchRef } from "./ref-name.ts";

export interface MoveRequest {
  readonly branch: string;
  readonly from: string;
  readonly to: string;
  /** Refs that are of no more use once the branch has moved; those that are gone already count. */
  readonly deleteRefs?: readonly string[];
  /** For the reflog. */
  readonly message: string;
}

export type MoveOutcome =
  /** The branch is at `to`, by this call or by an earlier one. */
  | { readonly kind: "moved" }
  /** The branch is not at `from`; `null` where it is gone. Nothing was changed. */
  | { readonly kind: "outrun"; readonly found: string | null }
  /** A lock file stayed for seconds. Nothing was changed. */
  | { readonly kind: "locked"; readonly lockPath: string; readonly message: string };

export interface RefValue {
  readonly ref: string;
  readonly id: string;
}

const FAILED = 128;

/** Waiting for locks is ours: by the clock, and with an answer at the end. */
const NO_WAITING = ["core.filesRefLockTimeout=0", "core.packedRefsTimeout=0"] as const;

/** The compare-and-set of the integration branch: one transaction, one process. */
export async function moveBranch(
  parts: RepositoryParts,
  request: MoveRequest,
): Promise<MoveOutcome> {
  const ref = branchRef(request.branch);
  const { from, to, deleteRefs = [] } = request;
  assertObjectIds(from, to);
  const lines = [`update ${ref}\0${to}\0${from}\0`, ...deleteRefs.map(deletion)];
  const result = await transact(parts, lines, request.message);
  if (result.code === 0) return { kind: "moved" };
  const found = (await readBranchTip(parts, request.branch))?.commit ?? null;
  if (found === to && from !== to) {
    await updateRefs(parts, deleteRefs.map(deletion));
    return { kind: "moved" };
  }
  if (found !== from) return { kind: "outrun", found };
  const lockPath = lockPathOf(result.stderr);
  if (lockPath === null) throw refused(parts, result);
  return { kind: "locked", lockPath, message: `${lockPath} is there` };
}

/** Makes refs point where they are told, whatever they were. One process for all of them. */
export async function setRefs(parts: RepositoryParts, refs: readonly RefValue[]): Promise<void> {
  await updateRefs(
    parts,
    refs.map(({ ref, id }) => {
      assertRefName(ref);
      assertObjectIds(id);
      return `update ${ref}\0${id}\0\0`;
    }),
  );
}

/** One process for all of them. Refs that are gone already are fine. */
export async function deleteRefs(parts: RepositoryParts, refs: readonly string[]): Promise<void> {
  await updateRefs(parts, refs.map(deletion));
}

/** The refs below a prefix such as `refs/mycelium/runs/x`, by whole path components. */
export async function listRefs(
  { git }: RepositoryParts,
  prefix: string,
): Promise<readonly RefValue[]> {
  assertRefName(prefix);
  const args = ["for-each-ref", "--format=%(refname)%00%(objectname)%00", prefix];
  const fields = splitAtNul((await git.run(args)).stdout);
  return fields.flatMap((field, index) => {
    const id = fields[index + 1];
    return index % 2 === 1 || id === undefined ? [] : [{ ref: field.trimStart(), id }];
  });
}

async function updateRefs(parts: RepositoryParts, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  const result = await transact(parts, lines, "mycelium");
  if (result.code !== 0) throw refused(parts, result);
}

function transact(
  { git, clock }: RepositoryParts,
  lines: readonly string[],
  message: string,
): Promise<GitResult> {
  const reason = message.replaceAll(/\s+/g, " ").trim() || "mycelium";
  return retryWhile(
    clock,
    () =>
      git.run(["update-ref", "-m", reason, "-z", "--stdin"], {
        stdin: lines.join(""),
        config: NO_WAITING,
        allowExitCodes: [0, FAILED],
      }),
    ({ stderr }) => lockPathOf(stderr) !== null,
  );
}

function deletion(ref: string): string {
  assertRefName(ref);
  return `delete ${ref}\0\0`;
}

/** With a lock that stayed as a code of its own: a person can help there. */
function refused({ gitDir }: RepositoryParts, { code, stderr }: GitResult): Refusal {
  const lockPath = lockPathOf(stderr);
  if (lockPath === null) {
    const what = `failed with exit code ${code}`;
    return gitFailed(["update-ref"], { what, exitCode: code, stderr, folder: gitDir });
  }
  return new Refusal("ref-locked", `${lockPath} is there, so refs cannot be changed`, {
    details: { lockPath },
    hint: `if no git process is at work in the repository, remove ${lockPath}`,
  });
}
