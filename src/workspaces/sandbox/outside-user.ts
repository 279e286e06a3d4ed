import { lchownSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * The user that commands of sandboxes are, as the host counts, where Mycelium runs as root: nobody
 * has it, owns anything as it or may log in as it. Where Mycelium is not root, it is its own user.
 */
const OUTSIDE_UID = 1_700_000_000;

export interface OutsideUser {
  readonly isRoot: boolean;
  readonly uid: number;
  readonly gid: number;
}

export function outsideUser(): OutsideUser {
  const uid = process.getuid?.() ?? 0;
  const isRoot = uid === 0;
  if (isRoot) return { isRoot, uid: OUTSIDE_UID, gid: OUTSIDE_UID };
  return { isRoot, uid, gid: process.getgid?.() ?? uid };
}

/** Gives what was made for a sandbox to its user. */
export function giveAway(paths: readonly string[]): void {
  const { isRoot, uid, gid } = outsideUser();
  if (isRoot) for (const path of paths) lchownSync(path, uid, gid);
}

/** The same for everything below. Only for what Mycelium itself made: links are not followed. */
export function giveAwayTree(folders: readonly string[]): void {
  if (!outsideUser().isRoot) return;
  for (const folder of folders) {
    const below = readdirSync(folder, { recursive: true, encoding: "utf8" });
    giveAway([folder, ...below.map((path) => join(folder, path))]);
  }
}
