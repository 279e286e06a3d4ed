import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Refusal } from "../../domain/failure.ts";
import { buildImage, DEFAULT_IMAGE } from "../vm/image.ts";
import { DEFAULT_RECIPE } from "../vm/image-recipe.ts";
import type { BuiltImage, ImageSource } from "./build-image.ts";

/**
 * Builds the image that virtual machines are made of, or finds it where the same was built before.
 * Refuses what it cannot be built from.
 */
export async function buildMachineImage(request: {
  readonly from: ImageSource;
  /** Debian packages besides those that every machine has. */
  readonly include: readonly string[];
  /** Where machines look for it. */
  readonly cacheDir: string;
}): Promise<BuiltImage> {
  if (request.from === "host") {
    throw new Refusal("usage", "a machine's image cannot be built from this machine's own files", {
      hint: "leave --from out: it takes a kernel, which comes from Debian's packages",
    });
  }
  const folder = join(request.cacheDir, "images");
  const before = new Set(existsSync(folder) ? readdirSync(folder) : []);
  const packages = [...DEFAULT_RECIPE.packages, ...request.include];
  const built = await buildImage(folder, DEFAULT_IMAGE, { ...DEFAULT_RECIPE, packages });
  if (!built.ok) {
    const { code, message, details, hint } = built.failure;
    throw new Refusal(code, message, { details, ...(hint === null ? {} : { hint }) });
  }
  const { key } = built.value;
  return { image: key, alias: DEFAULT_IMAGE, cached: before.has(key) };
}
