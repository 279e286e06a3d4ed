import { constants } from "node:fs";
import { mkdir, open, realpath, type FileHandle } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import type { Result } from "../domain/failure.ts";
import { codeOf, workspaceFailure } from "./workspace-failure.ts";

/**
 * Where a path is looked up: relative ones below `base`, and none outside `root`. That holds against
 * whatever links are there already, not against a program that puts one up at the same moment.
 */
export interface Confinement {
  /** Without symbolic links. */
  readonly root: string;
  readonly base: string;
}

/** Opening must neither follow a last link nor wait for the other end of a pipe. */
const CAREFULLY = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Reads a regular file of at most `bytesMax` bytes. Refused paths answer a failure whose
 * `details.reason` is `missing`, `outside`, `not-a-file`, `too-large` or the system's own name.
 */
export async function readConfined(
  confinement: Confinement,
  path: string,
  bytesMax: number,
): Promise<Result<Buffer>> {
  return readingConfined(confinement, path, async (file) => {
    const { size } = await file.stat();
    if (size > bytesMax) throw new Refused("too-large", `has ${size} bytes, over ${bytesMax}`);
    const content = Buffer.alloc(size);
    const { bytesRead } = await file.read(content, 0, size, 0);
    return content.subarray(0, bytesRead);
  });
}

/** Writes a whole file, making missing folders. Refuses as `readConfined` does. */
export async function writeConfined(
  confinement: Confinement,
  path: string,
  content: string | Buffer,
): Promise<Result<void>> {
  return writingConfined(confinement, path, (file) => file.writeFile(content));
}

/** Gives a regular file to read, of any size. Refuses as `readConfined` does. */
export async function readingConfined<T>(
  confinement: Confinement,
  path: string,
  use: (file: FileHandle) => Promise<T>,
): Promise<Result<T>> {
  return refusing(path, async () => {
    const real = await realpath(lexicallyInside(confinement, path));
    await using file = await openRegular(checkInside(confinement, real), constants.O_RDONLY);
    return await use(file);
  });
}

/** Gives a regular file to write, emptied, with its folders made. Refuses as `readConfined` does. */
export async function writingConfined<T>(
  confinement: Confinement,
  path: string,
  use: (file: FileHandle) => Promise<T>,
): Promise<Result<T>> {
  return refusing(path, async () => {
    const target = await targetOf(confinement, lexicallyInside(confinement, path));
    await using file = await openRegular(target, constants.O_WRONLY | constants.O_CREAT);
    await file.truncate(0);
    return await use(file);
  });
}

/** A folder inside, without symbolic links; for the working directory of commands. */
export async function folderInside(
  confinement: Confinement,
  path: string,
): Promise<Result<string>> {
  return refusing(path, async () =>
    checkInside(confinement, await realpath(lexicallyInside(confinement, path))),
  );
}

/** Thrown while a file is used, it becomes a failure with that `details.reason`. */
export class Refused extends Error {
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

async function refusing<T>(path: string, act: () => Promise<T>): Promise<Result<T>> {
  try {
    return { ok: true, value: await act() };
  } catch (error) {
    const reason = error instanceof Refused ? error.reason : reasonOf(codeOf(error));
    // Anything that is neither ours nor the system's is a bug.
    if (reason === "") throw error;
    const said = error instanceof Error ? error.message : String(error);
    return workspaceFailure(`${path}: ${said}`, { details: { path, reason }, cause: error });
  }
}

function reasonOf(code: string): string {
  if (code === "ENOENT") return "missing";
  if (code === "EISDIR" || code === "ENOTDIR" || code === "ENXIO") return "not-a-file";
  return code;
}

function lexicallyInside({ root, base }: Confinement, path: string): string {
  if (path.includes("\0")) throw new Refused("outside", "holds a NUL character");
  return checkInside({ root, base }, resolve(base, path));
}

function checkInside({ root }: Confinement, path: string): string {
  const below = relative(root, path);
  if (below === ".." || below.startsWith("../") || isAbsolute(below)) {
    throw new Refused("outside", "leads out of the workspace");
  }
  return path;
}

/** Where a write ends up once all links are followed; makes the folders on the way. */
async function targetOf(confinement: Confinement, path: string): Promise<string> {
  const folder = dirname(path);
  checkInside(confinement, await realpath(await deepestExisting(folder)));
  await mkdir(folder, { recursive: true });
  const target = join(checkInside(confinement, await realpath(folder)), basename(path));
  const existing = await realpathOrNull(target);
  return existing === null ? target : checkInside(confinement, existing);
}

async function deepestExisting(path: string): Promise<string> {
  let folder = path;
  while ((await realpathOrNull(folder)) === null) folder = dirname(folder);
  return folder;
}

async function realpathOrNull(path: string): Promise<string | null> {
  try {
    return await realpath(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

async function openRegular(path: string, flags: number): Promise<FileHandle> {
  const file = await openOrRefuse(path, flags);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Refused("not-a-file", "is not a regular file");
}

async function openOrRefuse(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags | CAREFULLY, 0o666);
  } catch (error) {
    if (codeOf(error) === "ELOOP") throw new Refused("outside", "is a link that leads nowhere");
    throw error;
  }
}
