import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { openGit } from "../git/git.ts";
import { openRepository } from "../git/repository.ts";
import type { Clock } from "../lib/clock.ts";
import { lockFile, tryLockFile } from "../lib/file-lock.ts";
import type { MergeRoom } from "./replay.ts";

export interface MergeMeans {
  /** Holds a folder a merge, for as long as it takes. */
  readonly folder: string;
  /** For git on the host: `PATH` and `HOME`. */
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Of the commits of one workspace, as a pack. */
  readonly bytesMax: number;
}

/** Does work with an empty repository, gone afterwards; what killed merges left goes first. */
export async function withMergeRoom<T>(
  { folder: root, env, clock }: MergeMeans,
  objectFormat: "sha1" | "sha256",
  work: (room: MergeRoom & { readonly folder: string }) => Promise<T>,
): Promise<T> {
  await removeMergeLeftovers(root);
  const folder = join(root, randomUUID());
  await mkdir(folder, { recursive: true });
  // Whoever looks for leftovers may have it for a moment.
  using lock = await lockFile(`${folder}.lock`);
  if (lock === null) throw new Error(`${folder} is another's`);
  try {
    const path = join(folder, "repository.git");
    const format = `--object-format=${objectFormat}`;
    await openGit({ cwd: folder, env }).run(["init", "-q", "--bare", "--template=", format, path]);
    await using repository = await openRepository({ path, env, clock });
    const { gitDir } = repository;
    return await work({ repository, git: openGit({ cwd: gitDir, gitDir, env }), folder });
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(`${folder}.lock`, { force: true });
  }
}

/** What merges left whose process was killed. */
export async function removeMergeLeftovers(root: string): Promise<void> {
  await mkdir(root, { recursive: true });
  for (const name of await readdir(root)) {
    if (!name.endsWith(".lock")) continue;
    const path = join(root, name);
    using lock = tryLockFile(path);
    if (lock === null) continue;
    await rm(path.slice(0, -".lock".length), { recursive: true, force: true });
    await rm(`${path}-journal`, { force: true });
    await rm(path, { force: true });
  }
}
