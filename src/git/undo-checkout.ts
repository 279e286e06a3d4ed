import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Checkout } from "./checkout-index.ts";
import { splitAtNul } from "./commits.ts";
import { statOf } from "./stat-of.ts";

/**
 * What git says when it could not write files. It has looked at everything before the first, so that
 * nothing of the user's was among what it was writing.
 */
const BROKEN_OFF = /^error: unable to (?:write|create|unlink|stat)|index\.lock' write error/m;

/** Whether git gave up in the middle of writing files, with the index as it was. */
export function hasBrokenOff(stderr: string): boolean {
  return BROKEN_OFF.test(stderr);
}

/** Takes the files back to the index after git broke off; what cannot be written stays. */
export async function undoCheckout({ git, path, changes }: Checkout): Promise<void> {
  const inIndex = new Set(splitAtNul((await git.run(["ls-files", "-z"])).stdout));
  for (const change of changes) {
    const file = join(path, change.path);
    const isNew = change.status === "added" && !inIndex.has(change.path);
    if (isNew && statOf(file)?.isDirectory() === false) await rm(file);
  }
  const { stdout } = await git.run(["diff-files", "-z", "--name-only", "--ignore-submodules=all"]);
  const different = new Set(splitAtNul(stdout));
  const paths = changes.map((change) => change.path).filter((name) => different.has(name));
  const stdin = paths.map((name) => `${name}\0`).join("");
  await git.run(["checkout-index", "--force", "--quiet", "-u", "-z", "--stdin"], {
    stdin,
    allowExitCodes: [0, 1, 128],
  });
}
