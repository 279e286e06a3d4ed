import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { isRefName } from "../../git/ref-name.ts";
import { repositoryConfig, writeRepository } from "../local-clone.ts";
import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "../local-git.ts";
import type { WorkspaceSeed } from "../workspace.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { execInGuest } from "./agent-exec.ts";
import { writeGuestFile } from "./agent-requests.ts";
import { guestEnvironment, REPOSITORY } from "./guest.ts";
import { runTool } from "./tool.ts";

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** Packs are kept for the next workspaces at the same commit. */
const PACKS_KEPT_MAX = 8;

/** Everything that is reachable from the seed's commit, and what belongs beside it. */
interface SeedPack {
  readonly name: string;
  readonly pack: Buffer;
  readonly index: Buffer;
  readonly shallow: Buffer | null;
  readonly exclude: Buffer | null;
}

export interface SeedRequest {
  readonly cacheDir: string;
  readonly seed: WorkspaceSeed;
  readonly timeoutMs: number;
}

/**
 * Makes the private clone in a guest: a pack of the seed's history made by this machine's git,
 * a repository written by hand around it, and one git process in the guest that fills the work
 * tree. Nothing of the seed's configuration, hooks, remotes or other refs comes along.
 */
export async function seedGuest(
  agent: AgentConnection,
  { cacheDir, seed, timeoutMs }: SeedRequest,
): Promise<Result<void>> {
  const ref = `refs/heads/${seed.branch}`;
  if (!isRefName(ref)) return workspaceFailure(`"${seed.branch}" is not a name for a branch`);
  if (!COMMIT.test(seed.commit)) return workspaceFailure(`"${seed.commit}" is not a commit's id`);
  const packed = await packSeed(cacheDir, seed, timeoutMs);
  if (!packed.ok) return packed;
  for (const [path, content] of repositoryFiles(seed, packed.value)) {
    const written = await writeGuestFile(agent, { path: `${REPOSITORY}/.git/${path}`, content });
    if (!written.ok) return written;
  }
  const read = await execInGuest(agent, {
    command: ["git", ...HARDENED_OPTIONS, "read-tree", "-u", "--reset", "HEAD"],
    cwd: REPOSITORY,
    env: { ...guestEnvironment({}), ...HARDENED_ENVIRONMENT, GIT_DIR: `${REPOSITORY}/.git` },
    timeoutMs,
    outputBytesMax: 4096,
    destroyed: new AbortController().signal,
  });
  if (read.ending.kind === "exited" && read.ending.code === 0)
    return { ok: true, value: undefined };
  return workspaceFailure(`the files could not be checked out: ${read.stderr.text.trim()}`);
}

function repositoryFiles(seed: WorkspaceSeed, packed: SeedPack): readonly [string, Buffer][] {
  const files: [string, Buffer][] = [
    [`objects/pack/${packed.name}.pack`, packed.pack],
    [`objects/pack/${packed.name}.idx`, packed.index],
    ["config", Buffer.from(repositoryConfig(seed.objectFormat))],
    ["HEAD", Buffer.from(`ref: refs/heads/${seed.branch}\n`)],
    [`refs/heads/${seed.branch}`, Buffer.from(`${seed.commit}\n`)],
    ["info/exclude", packed.exclude ?? Buffer.alloc(0)],
  ];
  if (packed.shallow !== null) files.push(["shallow", packed.shallow]);
  return files;
}

async function packSeed(
  cacheDir: string,
  seed: WorkspaceSeed,
  timeoutMs: number,
): Promise<Result<SeedPack>> {
  const shallow = await readOptional(join(seed.gitDir, "shallow"));
  const hash = createHash("sha256").update(JSON.stringify([seed.gitDir, seed.commit]));
  const key = hash
    .update(shallow ?? "")
    .digest("hex")
    .slice(0, 32);
  const folder = join(cacheDir, "seeds", key);
  if ((await namePack(folder)) === null) {
    const made = await makePack(join(cacheDir, "seeds"), folder, seed, timeoutMs);
    if (!made.ok) return made;
  }
  const name = await namePack(folder);
  if (name === null) return workspaceFailure("the seed's pack was taken away");
  const at = (file: string): Promise<Buffer> => readFile(join(folder, file));
  const exclude = await readOptional(join(seed.gitDir, "info/exclude"));
  const [pack, index] = [await at(`${name}.pack`), await at(`${name}.idx`)];
  return { ok: true, value: { name, pack, index, shallow, exclude } };
}

async function namePack(folder: string): Promise<string | null> {
  try {
    const name = (await readdir(folder)).find((entry) => entry.endsWith(".pack"));
    return name?.slice(0, -".pack".length) ?? null;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** By a repository of our own that borrows the seed's objects: nothing of its own is read. */
async function makePack(
  seeds: string,
  folder: string,
  seed: WorkspaceSeed,
  timeoutMs: number,
): Promise<Result<void>> {
  await mkdir(seeds, { recursive: true });
  const work = await mkdtemp(join(seeds, ".packing-"));
  try {
    const gitDir = join(work, "repository");
    const objects = [join(seed.gitDir, "objects")];
    writeRepository({ gitDir, seed, objects, head: seed.commit });
    const target = join(work, "pack");
    await mkdir(target);
    const made = await runTool({
      command: ["git", ...HARDENED_OPTIONS, "pack-objects", "-q", "--revs", `${target}/pack`],
      cwd: work,
      env: { ...HARDENED_ENVIRONMENT, GIT_DIR: gitDir },
      stdin: `${seed.commit}\n`,
      timeoutMs,
    });
    if (!made.ok) return made;
    await moveInto(target, folder);
    await prune(seeds);
    return { ok: true, value: undefined };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function moveInto(source: string, target: string): Promise<void> {
  try {
    await rename(source, target);
  } catch (error) {
    // Somebody else packed the same meanwhile.
    if (!["ENOTEMPTY", "EEXIST"].includes(codeOf(error))) throw error;
  }
  const now = (await stat(target)).ctime;
  await utimes(target, now, now);
}

async function prune(seeds: string): Promise<void> {
  const names = (await readdir(seeds)).filter((name) => !name.startsWith("."));
  const dated = await Promise.all(
    names.map(async (name) => ({ name, atMs: (await stat(join(seeds, name))).mtimeMs })),
  );
  const old = dated.toSorted((left, right) => right.atMs - left.atMs).slice(PACKS_KEPT_MAX);
  for (const { name } of old) await rm(join(seeds, name), { recursive: true, force: true });
}

async function readOptional(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return null;
  }
}
