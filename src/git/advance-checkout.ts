import {
  listDifferent,
  readTree,
  refreshIndex,
  takeIntoIndex,
  type AdvanceRequest,
  type Checkout,
} from "./checkout-index.ts";
import { findOperation } from "./checkouts.ts";
import { findDone } from "./done-files.ts";
import type { GitResult } from "./git.ts";
import { gitFailed } from "./git-failed.ts";
import { findInTheWay } from "./in-the-way.ts";
import { lockPathOf } from "./locks.ts";
import type { RepositoryParts } from "./parts.ts";
import { assertObjectIds } from "./ref-name.ts";
import { hasBrokenOff, undoCheckout } from "./undo-checkout.ts";

export type AdvanceOutcome =
  | { readonly kind: "advanced" }
  /** Nothing was changed. */
  | {
      readonly kind: "blocked";
      /** What stands in the way, for the end of a sentence. */
      readonly reason: string;
      readonly hint: string;
      readonly paths: readonly string[];
    };

const NAMED_PATHS_MAX = 10;

/**
 * Takes the index and the files of a checkout from one commit to another, before its branch is moved
 * (and back again, with the two exchanged, where the branch could not be moved). One process.
 *
 * Other changes in the checkout stay; untracked and ignored files are never written over; no hook,
 * stash or setting is touched. May be repeated after a crash at any point: files that are there with
 * exactly the content they should get are taken as written.
 */
export async function advanceCheckout(
  parts: RepositoryParts,
  request: AdvanceRequest,
): Promise<AdvanceOutcome> {
  const { path, from, to } = request;
  assertObjectIds(from, to);
  const operation = findOperation(path);
  if (operation !== null) {
    const hint = `finish or abort the ${operation} in ${path}, then try again`;
    return { kind: "blocked", reason: `a ${operation} is in progress there`, hint, paths: [] };
  }
  const changes = await parts.changes.listChanges(from, to);
  const checkout = { ...request, git: parts.git.at(path), changes };
  if (findInTheWay(path, changes).length === 0) {
    const result = await readTree(parts, checkout);
    if (result.code === 0) return { kind: "advanced" };
    const isAboutFiles = lockPathOf(result.stderr) === null && !hasBrokenOff(result.stderr);
    if (!isAboutFiles) return giveUp(checkout, result);
  }
  return advanceWithCare(parts, checkout);
}

/** The long way, where something is not as `from` left it. It looks at everything first. */
async function advanceWithCare(
  parts: RepositoryParts,
  checkout: Checkout,
): Promise<AdvanceOutcome> {
  const { git, path, changes } = checkout;
  const behind = await listDifferent(checkout, ["--cached", checkout.to]);
  if (behind.size === 0) return { kind: "advanced" };
  const lock = await refreshIndex(parts, git);
  if (lock !== null) return blockedByLock(lock);
  const staged = await listDifferent(checkout, ["--cached", checkout.from]);
  const changed = await listDifferent(checkout, [checkout.from]);
  const inTheWay = new Set(findInTheWay(path, changes));
  const isSuspect = (name: string): boolean => changed.has(name) || inTheWay.has(name);
  const done = await findDone(
    git,
    path,
    changes.filter((change) => isSuspect(change.path)),
  );

  const isDone = new Set(done.map((change) => change.path));
  const isEdited = (name: string): boolean =>
    !isDone.has(name) || (staged.has(name) && behind.has(name));
  const edited = [...changed].filter(isEdited);
  const untracked = [...inTheWay].filter((name) => !isDone.has(name) && !changed.has(name));
  if (untracked.length > 0)
    return blockedByFiles(path, "untracked files are in the way", untracked);
  if (edited.length > 0) return blockedByFiles(path, "files have changes of their own", edited);

  const from = await takeIntoIndex(checkout, done);
  const result = await readTree(parts, { ...checkout, from });
  if (result.code !== 0) return giveUp(checkout, result);
  await refreshIndex(parts, git);
  return { kind: "advanced" };
}

/** After a try that did not succeed, with whatever it had begun taken back. */
async function giveUp(checkout: Checkout, { code, stderr }: GitResult): Promise<AdvanceOutcome> {
  const lock = lockPathOf(stderr);
  if (lock !== null) return blockedByLock(lock);
  const { path } = checkout;
  const what = `could not check out ${checkout.to}`;
  const trouble = gitFailed(["read-tree"], { what, exitCode: code, stderr, folder: path });
  if (hasBrokenOff(stderr)) await undoCheckout(checkout);
  if (trouble.failure.code === "disk-full") throw trouble;
  const hint = `look at \`git -C ${path} status\``;
  return { kind: "blocked", reason: trouble.failure.message, hint, paths: [] };
}

function blockedByLock(lockPath: string): AdvanceOutcome {
  return {
    kind: "blocked",
    reason: `${lockPath} is there`,
    hint: `if no git process is at work there, remove ${lockPath}`,
    paths: [lockPath],
  };
}

function blockedByFiles(path: string, what: string, names: readonly string[]): AdvanceOutcome {
  const named = names.slice(0, NAMED_PATHS_MAX).map((name) => JSON.stringify(name));
  const more = names.length > NAMED_PATHS_MAX ? ` and ${names.length - NAMED_PATHS_MAX} more` : "";
  return {
    kind: "blocked",
    reason: `${what}: ${named.join(", ")}${more}`,
    hint: `look at \`git -C ${path} status --ignored\`, and commit, stash or move them away`,
    paths: names,
  };
}
