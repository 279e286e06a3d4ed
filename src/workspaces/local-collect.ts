import { lstatSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { writeRepository } from "./local-clone.ts";
import { runGit } from "./local-git.ts";
import type { LocalLayout } from "./local-layout.ts";
import type { SeedRecord } from "./local-record.ts";
import { readWorkerHead } from "./worker-head.ts";
import { codeOf, workspaceFailure } from "./workspace-failure.ts";

export interface CollectRequest {
  readonly layout: LocalLayout;
  readonly seed: SeedRecord;
  readonly base: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly bundleBytesMax: number;
}

/**
 * Nobody reads a bundle twice: speed before size. And nothing that only claims to know what objects
 * hold is asked: commit graphs and their like are the worker's too.
 */
export const PACKING: readonly string[] = [
  "pack.threads=1",
  "pack.compression=1",
  "pack.window=0",
  "pack.useBitmaps=false",
  "core.commitGraph=false",
  "core.multiPackIndex=false",
].flatMap((setting) => ["-c", setting]);

/**
 * Bundles a worker's commits with one git process that never sees the worker's repository as such:
 * a repository of our own borrows its objects, so that the worker's configuration, hooks, refs,
 * replacements and attributes mean nothing here. The worst that crafted objects can do is to fail
 * or to take until the timeout.
 */
export async function collectBundle(
  request: CollectRequest,
): Promise<Result<{ readonly bundle: string | null; readonly head: string }>> {
  const { layout, base } = request;
  const head = await readWorkerHead(layout.repository);
  if (!head.ok) return head;
  if (head.value === base) return { ok: true, value: { bundle: null, head: base } };
  const folder = prepare(request, head.value);
  if (!folder.ok) return folder;
  const bundle = join(folder.value, "commits.bundle");
  const made = await runGit({
    arguments: [...PACKING, "bundle", "create", "-q", bundle, `${base}..HEAD`],
    gitDir: repositoryIn(folder.value),
    cwd: folder.value,
    env: request.env,
    timeoutMs: request.timeoutMs,
    fileBytesMax: request.bundleBytesMax,
  });
  return made.ok ? { ok: true, value: { bundle, head: head.value } } : made;
}

/** A new folder with the repository that collects: whatever a worker put into its place is not met. */
function prepare({ layout, seed }: CollectRequest, head: string): Result<string> {
  const objects = [join(layout.repository, ".git/objects"), join(seed.gitDir, "objects")];
  try {
    if (!lstatSync(layout.outbox).isDirectory()) {
      return workspaceFailure(`${layout.outbox} is not a folder any more`);
    }
    const folder = mkdtempSync(join(layout.outbox, "collected-"));
    writeRepository({ gitDir: repositoryIn(folder), seed, objects, head });
    return { ok: true, value: folder };
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return workspaceFailure(`cannot collect: ${String(error)}`, { cause: error });
  }
}

function repositoryIn(folder: string): string {
  return join(folder, "collector.git");
}
