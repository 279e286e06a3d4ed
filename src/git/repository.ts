import type { Result } from "../domain/failure.ts";
import { TRAILERS } from "../domain/receipt.ts";
import type { Clock } from "../lib/clock.ts";
import { advanceCheckout, type AdvanceOutcome } from "./advance-checkout.ts";
import {
  commitTree,
  mergeInto,
  type CommitRequest,
  type MergeOutcome,
  type MergeRequest,
} from "./candidate.ts";
import type { AdvanceRequest } from "./checkout-index.ts";
import { openChangeLister, type Change } from "./changes.ts";
import { findCheckout, inspectCheckout, type CheckoutState } from "./checkouts.ts";
import { isAncestor, listFiles, readBranchTip } from "./commits.ts";
import { openGit, type GitOptions } from "./git.ts";
import { findLanded, type HistoryRange, type LandedCommit } from "./history.ts";
import { importBundle, type ImportRequest } from "./incoming.ts";
import {
  deleteRefs,
  listRefs,
  moveBranch,
  setRefs,
  type MoveOutcome,
  type MoveRequest,
  type RefValue,
} from "./integration.ts";
import { locateRepository } from "./locate.ts";
import { openObjectReader, type Commit } from "./objects.ts";
import type { ObjectFormat, RepositoryParts } from "./parts.ts";
import { readReceipt, writeReceipts, type ReceiptNote } from "./receipts.ts";

export interface RepositoryOptions {
  /** Anywhere in the repository. */
  readonly path: string;
  readonly env: GitOptions["env"];
  readonly clock: Clock;
  readonly program?: string;
  /** Told of each git process, for counting. Must not throw. */
  readonly onStart?: (args: readonly string[]) => void;
}

/**
 * A user's repository, as the landing needs it. Every method is told in the file that it comes from.
 * Expected trouble is part of the answers; anything else is a `Refusal` (`git-failed`, `disk-full`,
 * `program-missing`, `ref-locked`). Two long-lived processes serve it, so close it.
 */
export interface Repository extends AsyncDisposable {
  /** The common git directory, absolute, without symbolic links: what the repository is known by. */
  readonly gitDir: string;
  /** The worktree that it was opened in; `null` in a bare repository. */
  readonly topLevel: string | null;
  readonly objectFormat: ObjectFormat;
  /** Where a branch is now; `null` where there is no such branch. */
  branchTip(branch: string): Promise<Commit | null>;
  readCommit(id: string): Promise<Commit | null>;
  isAncestor(pair: { readonly ancestor: string; readonly descendant: string }): Promise<boolean>;
  listFiles(commit: string): Promise<readonly string[]>;
  importBundle(request: ImportRequest): Promise<Result<void>>;
  listChanges(base: string, commit: string): Promise<readonly Change[]>;
  mergeInto(request: MergeRequest): Promise<MergeOutcome>;
  commitTree(request: CommitRequest): Promise<string>;
  moveBranch(request: MoveRequest): Promise<MoveOutcome>;
  setRefs(refs: readonly RefValue[]): Promise<void>;
  deleteRefs(refs: readonly string[]): Promise<void>;
  listRefs(prefix: string): Promise<readonly RefValue[]>;
  findCheckout(branch: string): Promise<string | null>;
  inspectCheckout(path: string): Promise<CheckoutState>;
  advanceCheckout(request: AdvanceRequest): Promise<AdvanceOutcome>;
  writeReceipts(receipts: readonly ReceiptNote[]): Promise<void>;
  readReceipt(commit: string): Promise<string | null>;
  findLanded(range: HistoryRange): Promise<readonly LandedCommit[]>;
  /** Ends the long-lived processes. May be called twice. */
  close(): Promise<void>;
}

/** Refuses with `repository-missing` where the path is in no repository, or is not there. */
export async function openRepository(options: RepositoryOptions): Promise<Repository> {
  const { path, clock, ...shared } = options;
  const location = await locateRepository(openGit({ ...shared, cwd: path }), path);
  const { gitDir, topLevel, objectFormat } = location;
  const git = openGit({ ...shared, cwd: gitDir, gitDir });
  const objects = openObjectReader(git);
  const changes = openChangeLister(git);
  const mainWorktree = location.isMainWorktree ? topLevel : null;
  return bind({ git, objects, changes, clock, gitDir, mainWorktree, objectFormat }, topLevel);
}

function bind(parts: RepositoryParts, topLevel: string | null): Repository {
  const close = async (): Promise<void> => {
    await Promise.all([parts.objects.close(), parts.changes.close()]);
  };
  return {
    gitDir: parts.gitDir,
    topLevel,
    objectFormat: parts.objectFormat,
    branchTip: (branch) => readBranchTip(parts, branch),
    readCommit: (id) => parts.objects.readCommit(id),
    isAncestor: (pair) => isAncestor(parts, pair),
    listFiles: (commit) => listFiles(parts, commit),
    importBundle: (request) => importBundle(parts, request),
    listChanges: (base, commit) => parts.changes.listChanges(base, commit),
    mergeInto: (request) => mergeInto(parts, request),
    commitTree: (request) => commitTree(parts, request),
    moveBranch: (request) => moveBranch(parts, request),
    setRefs: (refs) => setRefs(parts, refs),
    deleteRefs: (refs) => deleteRefs(parts, refs),
    listRefs: (prefix) => listRefs(parts, prefix),
    findCheckout: (branch) => findCheckout(parts, branch),
    inspectCheckout: (path) => inspectCheckout(parts, path),
    advanceCheckout: (request) => advanceCheckout(parts, request),
    writeReceipts: (receipts) => writeReceipts(parts, receipts),
    readReceipt: (commit) => readReceipt(parts, commit),
    findLanded: (range) => findLanded(parts, range, TRAILERS),
    close,
    [Symbol.asyncDispose]: close,
  };
}
