import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { copyFile, mkdir, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { syncFolder } from "../lib/atomic-file.ts";
import type { LastingWorkspace } from "./lasting-workspace.ts";
import { exists } from "./local-layout.ts";
import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "./local-git.ts";
import type { ExecResult } from "./workspace.ts";
import { workspaceFailure } from "./workspace-failure.ts";

export interface RescueRequest {
  readonly workspace: LastingWorkspace;
  /** Where its work began; `null` where nobody knows. */
  readonly base: string | null;
  /** Holds a folder a rescue. */
  readonly root: string;
  /** Why it is removed, and when: RFC 3339. */
  readonly reason: string;
  readonly at: string;
}

const TIMEOUT_MS = 600_000;
const OUTPUT_BYTES_MAX = 4_096;
const FOLDERS_MAX = 10_000;

/**
 * Everything that is not committed as one patch, new files and binary ones included, made with an
 * index of its own. Says how many bytes it has.
 */
const PATCH_SCRIPT = `
target=$1
shift
[ -d .git ] && [ ! -L .git ] && [ -f .git/HEAD ] || exit 1
export GIT_DIR="$PWD/.git" GIT_WORK_TREE="$PWD" GIT_INDEX_FILE="$target.index"
trap 'rm -f "$GIT_INDEX_FILE" "$GIT_INDEX_FILE.lock"' EXIT
git "$@" read-tree HEAD && git "$@" add -A || exit 1
git "$@" diff --cached --binary --no-ext-diff --no-textconv --no-renames HEAD > "$target" || exit 1
wc -c < "$target"
`;

/** The whole folder, for what git can say nothing about; nothing where it is empty. */
const ARCHIVE_SCRIPT = `
[ -n "$(ls -A)" ] || { echo 0; exit 0; }
tar -cf "$1" . && wc -c < "$1"
`;

/**
 * Puts what a workspace holds beyond its base into a folder: `commits.bundle`,
 * `uncommitted.patch`, or `repository.tar` where git can tell neither, with a `note.json`.
 * Answers the folder, or `null` where there was nothing; what was saved before and has not changed is
 * not saved twice. What cannot be read is a failure.
 */
export async function rescueWork(request: RescueRequest): Promise<Result<string | null>> {
  const { workspace, root } = request;
  const started = await wake(workspace);
  if (!started.ok) return started;
  const unfinished = join(root, `.${workspace.id}.unfinished`);
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  const saved = await saveInto(unfinished, request);
  if (!saved.ok || saved.value.files.length === 0) {
    await rm(unfinished, { recursive: true, force: true });
    return saved.ok ? { ok: true, value: null } : saved;
  }
  const { base, reason, at } = request;
  const note = { id: workspace.id, kind: workspace.kind, base, ...saved.value, reason, at };
  await writeFile(join(unfinished, "note.json"), `${JSON.stringify(note, null, 2)}\n`);
  for (const file of [...saved.value.files, "note.json"]) await syncFile(join(unfinished, file));
  await syncFolder(unfinished);
  const folder = freeFolder(root, workspace.id);
  const last = lastFolder(root, workspace.id);
  if (last !== null && (await isSameWork(last, unfinished, saved.value.files))) {
    // Whoever saved it before was killed before the workspace was removed.
    await rm(unfinished, { recursive: true, force: true });
    return { ok: true, value: last };
  }
  await rename(unfinished, folder);
  await syncFolder(root);
  return { ok: true, value: folder };
}

/** Commands run in it only while it runs itself. */
async function wake(workspace: LastingWorkspace): Promise<Result<void>> {
  const { state } = await workspace.info();
  if (state === "stopped") return workspace.start();
  if (state === "running") return { ok: true, value: undefined };
  return workspaceFailure(`${workspace.id} is broken: its work cannot be read`, {
    hint: "restore it to a snapshot, or destroy it by name",
  });
}

interface Saved {
  readonly head: string | null;
  readonly files: readonly string[];
}

async function saveInto(folder: string, request: RescueRequest): Promise<Result<Saved>> {
  const { workspace, base } = request;
  const commits = base === null ? null : await workspace.collect(base);
  const patch = commits?.ok === true ? await carry(folder, request, "uncommitted.patch") : null;
  if (commits?.ok !== true || patch?.ok !== true) {
    const archive = await carry(folder, request, "repository.tar");
    return archive.ok ? { ok: true, value: { head: null, files: archive.value } } : archive;
  }
  const { bundle, head } = commits.value;
  if (bundle === null) return { ok: true, value: { head, files: patch.value } };
  await copyFile(bundle, join(folder, "commits.bundle"), constants.COPYFILE_FICLONE);
  return { ok: true, value: { head, files: ["commits.bundle", ...patch.value] } };
}

/** Makes a file in the workspace, beside the repository, and brings it out unless it is empty. */
async function carry(
  folder: string,
  { workspace }: RescueRequest,
  name: "uncommitted.patch" | "repository.tar",
): Promise<Result<readonly string[]>> {
  const path = `${workspace.contextDir}/.rescue-${name}`;
  const [script, options] =
    name === "repository.tar" ? [ARCHIVE_SCRIPT, []] : [PATCH_SCRIPT, HARDENED_OPTIONS];
  const made = await workspace.exec({
    command: ["/bin/sh", "-c", script, "rescue", path, ...options],
    env: HARDENED_ENVIRONMENT,
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  const bytes = bytesOf(made);
  if (bytes === null) {
    return workspaceFailure(`${workspace.id}: its work cannot be read: ${made.stderr.text.trim()}`);
  }
  if (bytes === 0) return { ok: true, value: [] };
  const carried = await workspace.download(path, join(folder, name));
  if (!carried.ok) return carried;
  if (carried.value.bytes === bytes) return { ok: true, value: [name] };
  return workspaceFailure(`${workspace.id}: its work changed while it was read`);
}

function bytesOf({ ending, stdout }: ExecResult): number | null {
  const text = stdout.text.trim();
  const isGood = ending.kind === "exited" && ending.code === 0 && /^\d+$/.test(text);
  return isGood ? Number(text) : null;
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, "r");
  await file.sync();
}

function folderOf(root: string, id: string, number: number): string {
  return join(root, number === 1 ? id : `${id}-${number}`);
}

/** The folder of the newest rescue of that name. */
function lastFolder(root: string, id: string): string | null {
  let last: string | null = null;
  for (let number = 1; exists(folderOf(root, id, number)); number += 1) {
    last = folderOf(root, id, number);
  }
  return last;
}

/** Whether two rescues hold the very same files, beside their notes. */
async function isSameWork(one: string, other: string, files: readonly string[]): Promise<boolean> {
  const names = (await readdir(one)).filter((name) => name !== "note.json");
  if (names.length !== files.length || !files.every((name) => names.includes(name))) return false;
  for (const name of files) {
    const [first, second] = [join(one, name), join(other, name)];
    if ((await stat(first)).size !== (await stat(second)).size) return false;
    if ((await hashOf(first)) !== (await hashOf(second))) return false;
  }
  return true;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Earlier rescues of the same name stay. */
function freeFolder(root: string, id: string): string {
  for (let number = 1; number < FOLDERS_MAX; number += 1) {
    const folder = folderOf(root, id, number);
    if (!exists(folder)) return folder;
  }
  throw new Error(`there are ${FOLDERS_MAX} rescues of ${id} in ${root}`);
}
