import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Result } from "../../domain/failure.ts";
import { writeFileAtomically } from "../../lib/atomic-file.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import { makeInitramfs, takeKernel } from "./image-kernel.ts";
import {
  downloadKernel,
  resolvePackages,
  unpackPackage,
  unpackPackages,
} from "./image-packages.ts";
import {
  agentKey,
  allPackages,
  DEFAULT_RECIPE,
  imageKey,
  type ImageRecipe,
} from "./image-recipe.ts";
import { finishRoot, makeDisk } from "./image-root.ts";

export const DEFAULT_IMAGE = "default";

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** A machine to start: nothing in it is ever changed. */
export interface Image {
  readonly key: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly disk: string;
}

const referenceSchema = z.object({ version: z.literal(1), key: z.string(), agent: z.string() });

/** The image of a name; `null` where it was not built, or by a version with another agent. */
export function findImage(folder: string, name: string): Image | null {
  if (!NAME.test(name)) return null;
  try {
    const text = readFileSync(join(folder, `${name}.json`), "utf8");
    const { key, agent } = referenceSchema.parse(JSON.parse(text));
    return agent === agentKey() ? imageAt(folder, key) : null;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
}

/**
 * Builds an image from this machine's Debian packages and gives it a name. The same inputs are
 * built once: they are found again by their hash.
 */
export async function buildImage(
  folder: string,
  name: string,
  recipe: ImageRecipe = DEFAULT_RECIPE,
): Promise<Result<Image>> {
  if (!NAME.test(name)) return workspaceFailure(`"${name}" cannot be the name of an image`);
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, ".building-"));
  try {
    const packages = allPackages(recipe);
    const found = await resolvePackages(work, packages);
    if (!found.ok) return found;
    const key = imageKey(recipe, found.value.resolved);
    const made = await makeImage(folder, work, { key, packages, recipe });
    if (!made.ok) return made;
    const reference = { version: 1, key, agent: agentKey() };
    await writeFileAtomically(join(folder, `${name}.json`), `${JSON.stringify(reference)}\n`);
    return { ok: true, value: imageAt(folder, key) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function imageAt(folder: string, key: string): Image {
  const at = (file: string): string => join(folder, key, file);
  return { key, kernel: at("kernel"), initramfs: at("initramfs"), disk: at("root.ext4") };
}

interface Order {
  readonly key: string;
  readonly packages: readonly string[];
  readonly recipe: ImageRecipe;
}

/** All of an image or nothing of it: it is made beside its place and moved there. */
async function makeImage(folder: string, work: string, order: Order): Promise<Result<void>> {
  const done = { ok: true, value: undefined } as const;
  const target = join(folder, order.key);
  if (isThere(target)) return done;
  const image = join(work, "image");
  await mkdir(image);
  const steps = [
    () => makeKernel(work, image, order.recipe),
    () => unpackPackages(work, order.packages, join(work, "root")),
    () => finishRoot(join(work, "root")),
    () => makeDisk(join(work, "root"), join(image, "root.ext4")),
  ];
  for (const step of steps) {
    const taken = await step();
    if (!taken.ok) return taken;
  }
  await writeFile(join(image, "image.json"), `${JSON.stringify(order)}\n`);
  try {
    await rename(image, target);
  } catch (error) {
    // Somebody else built the same meanwhile.
    if (!["ENOTEMPTY", "EEXIST"].includes(codeOf(error))) throw error;
  }
  return done;
}

async function makeKernel(work: string, image: string, recipe: ImageRecipe): Promise<Result<void>> {
  const file = await downloadKernel(work, recipe.kernelPackage);
  if (!file.ok) return file;
  const unpacked = join(work, "kernel/unpacked");
  const opened = await unpackPackage(file.value, unpacked);
  if (!opened.ok) return opened;
  const taken = await takeKernel(unpacked, join(image, "kernel"));
  if (!taken.ok) return taken;
  const packed = await makeInitramfs(unpacked);
  if (!packed.ok) return packed;
  await writeFile(join(image, "initramfs"), packed.value);
  return { ok: true, value: undefined };
}

function isThere(folder: string): boolean {
  try {
    readFileSync(join(folder, "image.json"));
    return true;
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return false;
  }
}
