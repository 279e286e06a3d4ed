import { Refusal } from "../domain/failure.ts";
import { OWN_IDENTITY, type GitResult } from "./git.ts";
import { gitFailed } from "./git-failed.ts";
import { retryWhile, lockPathOf } from "./locks.ts";
import type { RepositoryParts } from "./parts.ts";
import { assertObjectIds } from "./ref-name.ts";

export interface ReceiptNote {
  readonly commit: string;
  readonly json: string;
}

export const RECEIPTS_REF = "refs/notes/mycelium";

/** Somebody else wrote meanwhile, or holds the lock. */
const NOT_UPDATED = 1;

/**
 * Writes the receipts of many commits as git notes, by one process, whoever else writes there. An
 * earlier receipt of the same commit is replaced, so it may be repeated.
 */
export async function writeReceipts(
  parts: RepositoryParts,
  receipts: readonly ReceiptNote[],
): Promise<void> {
  if (receipts.length === 0) return;
  assertObjectIds(...receipts.map(({ commit }) => commit));
  const result = await retryWhile(
    parts.clock,
    () => importNotes(parts, receipts),
    ({ code }) => code === NOT_UPDATED,
  );
  if (result.code === 0) return;
  const lockPath = lockPathOf(result.stderr);
  if (lockPath === null) {
    const what = `could not update ${RECEIPTS_REF}`;
    const { code: exitCode, stderr } = result;
    throw gitFailed(["fast-import"], { what, exitCode, stderr, folder: parts.gitDir });
  }
  throw new Refusal("ref-locked", `${lockPath} is there, so receipts cannot be written`, {
    details: { lockPath },
    hint: `if no git process is at work in the repository, remove ${lockPath}`,
  });
}

/** A commit's receipt as it was written, or `null`. One process. */
export async function readReceipt(
  { git, objects }: RepositoryParts,
  commit: string,
): Promise<string | null> {
  assertObjectIds(commit);
  const args = ["notes", `--ref=${RECEIPTS_REF}`, "list", commit];
  const { code, stdout } = await git.run(args, { allowExitCodes: [0, 1] });
  return code === 0 ? objects.readBlob(stdout.trim()) : null;
}

/** fast-import keeps the fan-out of the notes' tree, and refuses to lose what it did not see. */
async function importNotes(
  { git, objects, clock }: RepositoryParts,
  receipts: readonly ReceiptNote[],
): Promise<GitResult> {
  const tip = await objects.resolveRef(RECEIPTS_REF);
  const { name, email } = OWN_IDENTITY;
  const lines = [
    "feature done",
    `commit ${RECEIPTS_REF}`,
    `committer ${name} <${email}> ${Math.floor(clock.now() / 1000)} +0000`,
    data("mycelium: receipts"),
    ...(tip === null ? [] : [`from ${tip}`]),
    ...receipts.map(({ commit, json }) => `N inline ${commit}\n${data(json)}`),
    "done",
  ];
  return git.run(["fast-import", "--quiet", "--date-format=raw"], {
    stdin: `${lines.join("\n")}\n`,
    // Below this many objects they become single files and no pack.
    config: ["fastimport.unpackLimit=100"],
    allowExitCodes: [0, NOT_UPDATED],
  });
}

function data(text: string): string {
  return `data ${Buffer.byteLength(text)}\n${text}`;
}
