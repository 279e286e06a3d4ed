import { createHash } from "node:crypto";
import { readlinkSync, type Stats } from "node:fs";
import { join } from "node:path";
import { SYMLINK_MODE, type Change } from "./changes.ts";
import type { Git } from "./git.ts";
import { statOf } from "./stat-of.ts";

const OWNER_MAY_EXECUTE = 0o100;
const EXECUTABLE_MODE = "100755";

/** As many as surely fit on one command line. */
const PATHS_AT_ONCE = 200;

/**
 * The changes that have been carried out in the worktree already: the file is gone, or is there with
 * exactly the content and mode that it should get.
 */
export async function findDone(
  git: Git,
  root: string,
  changes: readonly Change[],
): Promise<readonly Change[]> {
  const done: Change[] = [];
  const files: Change[] = [];
  for (const change of changes) {
    const stat = statOf(join(root, change.path));
    if (stat?.isSymbolicLink() === true && isLinkTo(root, change)) done.push(change);
    if (stat === undefined && change.status === "deleted") done.push(change);
    if (stat?.isFile() === true && hasMode(stat, change)) files.push(change);
  }
  for (let start = 0; start < files.length; start += PATHS_AT_ONCE) {
    const some = files.slice(start, start + PATHS_AT_ONCE);
    const { stdout } = await git.run(["hash-object", "--", ...some.map(({ path }) => path)]);
    const ids = stdout.split("\n");
    done.push(...some.filter(({ newId }, index) => ids[index] === newId));
  }
  return done;
}

function hasMode(stat: Stats, { newMode }: Change): boolean {
  if (!newMode.startsWith("100")) return false;
  return (newMode === EXECUTABLE_MODE) === ((stat.mode & OWNER_MAY_EXECUTE) !== 0);
}

/** A link's content is where it leads. git would hash the file at its end instead. */
function isLinkTo(root: string, { path, newMode, newId }: Change): boolean {
  if (newMode !== SYMLINK_MODE) return false;
  const target = readlinkSync(join(root, path), { encoding: "buffer" });
  const algorithm = newId.length === 40 ? "sha1" : "sha256";
  const hash = createHash(algorithm).update(`blob ${target.length}\0`).update(target);
  return hash.digest("hex") === newId;
}
