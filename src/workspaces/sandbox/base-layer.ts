import { createHash, randomUUID } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import { runProcess } from "../../lib/process.ts";
import { writeRepository } from "../local-clone.ts";
import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "../local-git.ts";
import { exists } from "../local-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import type { WorkspaceSeed } from "../workspace.ts";
import { HOST_PATH } from "./host-path.ts";
import { INSIDE, type SandboxHome } from "./layout.ts";
import { giveAwayTree } from "./outside-user.ts";
import { startCommand } from "./start.ts";

/** The folders of every tree. */
export const TREE = ["repository", "context", "home", "tmp"] as const;

const ALTERNATES_DEPTH_MAX = 5;
const REMOVE_TIMEOUT_MS = 300_000;

/** Named by what is in it: the same commit of the same repository is checked out once. */
export function baseLayerName(seed: WorkspaceSeed): string {
  const what = JSON.stringify([real(seed.gitDir), seed.objectFormat, seed.commit]);
  return `base-${createHash("sha256").update(what).digest("hex").slice(0, 40)}`;
}

/** What a sandbox stands on that nothing seeds. */
export const EMPTY_LAYER = "base-empty";

export async function ensureEmptyLayer(home: SandboxHome): Promise<Result<void>> {
  const layer = join(home.layers, EMPTY_LAYER);
  if (existsSync(layer)) {
    touch(layer);
    return { ok: true, value: undefined };
  }
  const folder = join(home.layers, `.new-${randomUUID()}`);
  const parts = TREE.map((part) => join(folder, part));
  for (const part of parts) mkdirSync(part, { recursive: true });
  giveAwayTree(parts);
  renameUnlessThere(folder, layer);
  await removeFolder(folder, REMOVE_TIMEOUT_MS);
  return { ok: true, value: undefined };
}

/** Checkouts that are being made by this process. */
const making = new Map<string, Promise<Result<void>>>();

/** Checks a commit out into a layer, unless that was done before. `timeoutMs` is for git. */
export async function ensureBaseLayer(
  home: SandboxHome,
  seed: WorkspaceSeed,
  timeoutMs: number,
): Promise<Result<void>> {
  const layer = join(home.layers, baseLayerName(seed));
  if (existsSync(layer)) {
    touch(layer);
    return { ok: true, value: undefined };
  }
  const underWay = making.get(layer) ?? makeBaseLayer(home, seed, { layer, timeoutMs });
  making.set(layer, underWay);
  try {
    return await underWay;
  } finally {
    making.delete(layer);
  }
}

/** By this, layers that were used lately are known. */
function touch(layer: string): void {
  const seconds = systemClock.now() / 1000;
  utimesSync(layer, seconds, seconds);
}

async function makeBaseLayer(
  home: SandboxHome,
  seed: WorkspaceSeed,
  { layer, timeoutMs }: { readonly layer: string; readonly timeoutMs: number },
): Promise<Result<void>> {
  const name = `.new-${randomUUID()}`;
  const folder = join(home.layers, name);
  try {
    for (const part of TREE) mkdirSync(join(folder, part), { recursive: true });
    const gitDir = join(folder, "repository/.git");
    const objects = objectFolders(seed.gitDir);
    writeRepository({ gitDir, seed, objects: insideObjects(objects), head: seed.commit });
    giveAwayTree(TREE.map((part) => join(folder, part)));
    const checkedOut = await checkOut(home, { name, objects, timeoutMs });
    if (!checkedOut.ok) return checkedOut;
    renameUnlessThere(folder, layer);
    return { ok: true, value: undefined };
  } finally {
    await removeFolder(folder, REMOVE_TIMEOUT_MS);
  }
}

/** In a sandbox of its own, so that the files have their owners and nothing of it runs on the host. */
async function checkOut(
  home: SandboxHome,
  { name, objects, timeoutMs }: { name: string; objects: readonly string[]; timeoutMs: number },
): Promise<Result<void>> {
  const path = `layers/${name}`;
  const environment = Object.entries(HARDENED_ENVIRONMENT).flatMap(([variable, value]) => [
    "--setenv",
    variable,
    value,
  ]);
  const git = ["git", ...HARDENED_OPTIONS, "read-tree", "-u", "--reset", "HEAD"];
  const request = {
    root: home.root,
    tree: { kind: "folder", path },
    // Of it, git needs the folders of objects alone.
    seedFiles: `${path}/context`,
    objects,
    hostname: "base",
    machineId: "",
    network: "none",
  } as const;
  const command = startCommand(request, ["--die-with-parent", ...environment, "--", ...git]);
  const env = { PATH: HOST_PATH };
  const { ending, stderr } = await runProcess({
    command,
    cwd: "/",
    env,
    timeoutMs,
    outputBytesMax: 4096,
  });
  if (ending.kind === "exited" && ending.code === 0) return { ok: true, value: undefined };
  const how = ending.kind === "exited" ? `exit code ${ending.code}` : ending.kind;
  return workspaceFailure(`checking out failed (${how}): ${stderr.bytes.toString().trim()}`);
}

/** Somebody else may have been quicker: theirs is the same. */
function renameUnlessThere(folder: string, layer: string): void {
  try {
    renameSync(folder, layer);
  } catch (error) {
    if (!exists(layer)) throw error;
  }
}

/** The folders of objects of a repository and of those it borrows from itself. */
export function objectFolders(gitDir: string): readonly string[] {
  const found: string[] = [];
  const add = (folder: string, depth: number): void => {
    if (found.includes(folder) || depth > ALTERNATES_DEPTH_MAX || !exists(folder)) return;
    found.push(folder);
    for (const line of readLines(join(folder, "info/alternates"))) {
      add(isAbsolute(line) ? line : resolve(folder, line), depth + 1);
    }
  };
  add(join(real(gitDir), "objects"), 0);
  return found;
}

export function insideObjects(objects: readonly string[]): readonly string[] {
  return objects.map((_path, index) => `${INSIDE.seed}/objects/${index}`);
}

/** Writes what a clone of the seed is made of, for collecting, and for the layer above the base. */
export function writeSeedFiles(folder: string, seed: WorkspaceSeed): void {
  const objects = insideObjects(objectFolders(seed.gitDir));
  writeRepository({ gitDir: folder, seed, objects, head: seed.commit });
}

/** The branch and the private excludes, above a base that knows neither. */
export function writeBranch(upper: string, seed: WorkspaceSeed): void {
  const gitDir = join(upper, "repository/.git");
  const ref = join(gitDir, `refs/heads/${seed.branch}`);
  mkdirSync(join(ref, ".."), { recursive: true });
  mkdirSync(join(gitDir, "info"), { recursive: true });
  writeFileSync(join(gitDir, "HEAD"), `ref: refs/heads/${seed.branch}\n`);
  writeFileSync(ref, `${seed.commit}\n`);
  writeFileSync(
    join(gitDir, "info/exclude"),
    readLines(join(seed.gitDir, "info/exclude"))
      .map((line) => `${line}\n`)
      .join(""),
  );
}

function real(path: string): string {
  return exists(path) ? realpathSync(path) : resolve(path);
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return [];
  }
}
