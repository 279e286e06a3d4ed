import { randomUUID, createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../lib/clock.ts";
import type { Result } from "../../domain/failure.ts";
import { writeRepository } from "../local-clone.ts";
import { PACKING } from "../local-collect.ts";
import { runGit } from "../local-git.ts";
import type { WorkspaceSeed } from "../workspace.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import { exists } from "./record.ts";

export interface SeedBundles {
  /** A bundle on the host whose only ref is `HEAD`, at the seed's commit, with all its history. */
  bundleOf(seed: WorkspaceSeed): Promise<Result<string>>;
}

/** Many tasks start on the same commit; older ones come back when a run is taken up again. */
const KEPT_MAX = 8;

/**
 * Makes seeds' bundles, each once. Git packs from a repository of our own that borrows the seed's
 * objects, so that none of the seed's configuration, refs or hooks has a say.
 */
export function openSeedBundles(options: {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly bytesMax: number;
}): SeedBundles {
  const { folder } = options;
  const making = new Map<string, Promise<Result<string>>>();

  async function make(seed: WorkspaceSeed, bundle: string): Promise<Result<string>> {
    if (exists(bundle)) return { ok: true, value: bundle };
    const own = join(folder, `making-${randomUUID()}`);
    try {
      mkdirSync(own, { recursive: true });
      const gitDir = join(own, "seed.git");
      const unfinished = join(own, "seed.bundle");
      const objects = [join(seed.gitDir, "objects")];
      writeRepository({ gitDir, seed, objects, head: seed.commit });
      const made = await runGit({
        arguments: [...PACKING, "bundle", "create", "-q", unfinished, "HEAD"],
        gitDir,
        cwd: own,
        env: options.env,
        timeoutMs: options.timeoutMs,
        fileBytesMax: options.bytesMax,
      });
      if (!made.ok) return made;
      await rename(unfinished, bundle);
      await forgetOld(folder);
      return { ok: true, value: bundle };
    } catch (error) {
      if (codeOf(error) === "") throw error;
      return workspaceFailure(`cannot pack the seed: ${String(error)}`, { cause: error });
    } finally {
      await rm(own, { recursive: true, force: true });
    }
  }

  return {
    bundleOf: async (seed) => {
      const key = createHash("sha256").update(`${seed.gitDir}\0${seed.commit}`).digest("hex");
      const bundle = join(folder, `${key.slice(0, 32)}.bundle`);
      const made = making.get(key) ?? make(seed, bundle).finally(() => making.delete(key));
      making.set(key, made);
      return made;
    },
  };
}

/** From when this is old, whoever was making a bundle has died. */
const UNFINISHED_MS_MAX = 3_600_000;

/** A bundle that is being read goes on to be readable; one that is missed is made again. */
async function forgetOld(folder: string): Promise<void> {
  const aged = await Promise.all(
    (await readdir(folder)).map(async (name) => {
      const found = await stat(join(folder, name)).catch(() => null);
      return { name, madeMs: found?.mtimeMs ?? 0 };
    }),
  );
  const isBundle = ({ name }: { readonly name: string }): boolean => name.endsWith(".bundle");
  const bundles = aged.filter(isBundle).toSorted((one, other) => other.madeMs - one.madeMs);
  const longAgoMs = systemClock.now() - UNFINISHED_MS_MAX;
  const dead = aged.filter((entry) => !isBundle(entry) && entry.madeMs < longAgoMs);
  for (const { name } of [...bundles.slice(KEPT_MAX), ...dead]) {
    await rm(join(folder, name), { recursive: true, force: true });
  }
}
