import { constants } from "node:fs";
import { lstat, open } from "node:fs/promises";
import { join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { isRefName } from "../git/ref-name.ts";
import { codeOf, workspaceFailure } from "./workspace-failure.ts";

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const REF_BYTES_MAX = 4096;
const PACKED_REFS_BYTES_MAX = 16 * 1024 * 1024;

const HINT = "the task will be tried again in a new workspace";

/**
 * The commit that HEAD of a worker's repository names, read by hand: no program looks at what the
 * worker may have made of it. Only real folders and regular files count; a detached HEAD does too.
 */
export async function readWorkerHead(repositoryDir: string): Promise<Result<string>> {
  const gitDir = join(repositoryDir, ".git");
  for (const folder of [gitDir, join(gitDir, "objects"), join(gitDir, "refs")]) {
    if (!(await isRealFolder(folder))) return broken(`${folder} is missing or not a folder`);
  }
  const head = await readPlain(join(gitDir, "HEAD"), REF_BYTES_MAX);
  if (head === null) return broken(`${gitDir}/HEAD is missing or not a plain file`);
  if (COMMIT.test(head)) return { ok: true, value: head };
  const ref = head.startsWith("ref: ") ? head.slice("ref: ".length) : "";
  if (!ref.startsWith("refs/heads/") || !isRefName(ref))
    return broken(`${gitDir}/HEAD names no branch`);
  const commit = (await readLooseRef(gitDir, ref)) ?? (await readPackedRef(gitDir, ref));
  if (commit === null || !COMMIT.test(commit)) return broken(`${ref} names no commit`);
  return { ok: true, value: commit };
}

function broken(message: string): Result<never> {
  return workspaceFailure(`the workspace's repository is broken: ${message}`, { hint: HINT });
}

async function readLooseRef(gitDir: string, ref: string): Promise<string | null> {
  let folder = gitDir;
  for (const part of ref.split("/").slice(0, -1)) {
    folder = join(folder, part);
    if (!(await isRealFolder(folder))) return null;
  }
  return readPlain(join(gitDir, ref), REF_BYTES_MAX);
}

async function readPackedRef(gitDir: string, ref: string): Promise<string | null> {
  const packed = await readPlain(join(gitDir, "packed-refs"), PACKED_REFS_BYTES_MAX);
  const line = packed?.split("\n").find((candidate) => candidate.endsWith(` ${ref}`));
  return line?.slice(0, line.indexOf(" ")) ?? null;
}

async function isRealFolder(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** A small regular file without the white space at its end; anything else is `null`. */
async function readPlain(path: string, bytesMax: number): Promise<string | null> {
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    await using file = await open(path, flags);
    const { size } = await file.stat();
    if (!(await file.stat()).isFile() || size > bytesMax) return null;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
    return buffer.toString("utf8", 0, bytesRead).trimEnd();
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return null;
  }
}
