import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What an image is made of. Its key is the hash of this: other inputs make another image. */
export interface ImageRecipe {
  /** Debian packages beside the base, without what they depend on. */
  readonly packages: readonly string[];
  /** Name of the kernel's package. */
  readonly kernelPackage: string;
}

/** A shell, the usual tools and git: what tasks need to be worked on and nothing to be installed. */
const BASE_PACKAGES: readonly string[] = [
  "base-files",
  "base-passwd",
  "bash",
  "ca-certificates",
  "coreutils",
  "dash",
  "diffutils",
  "findutils",
  "git",
  "grep",
  "gzip",
  "hostname",
  "libc-bin",
  "mawk",
  "mount",
  "perl-base",
  "procps",
  "sed",
  "tar",
  "util-linux",
];

export const DEFAULT_RECIPE: ImageRecipe = {
  packages: [],
  kernelPackage: "linux-image-cloud-amd64",
};

/** In the order in which they need each other. */
export const KERNEL_MODULES: readonly string[] = [
  "virtio_ring",
  "virtio",
  "virtio_mmio",
  "virtio_blk",
  "virtio_console",
  "virtio-rng",
  "failover",
  "net_failover",
  "virtio_net",
];

/** Raised when the same inputs are to make something else than before. */
const BUILDER_VERSION = 1;

/** The sources of the guest's agent, beside `src` and `dist` alike. */
export const AGENT_SOURCES = join(import.meta.dirname, "../../../guest");

export function allPackages(recipe: ImageRecipe): readonly string[] {
  return [...new Set([...BASE_PACKAGES, ...recipe.packages])].toSorted();
}

/** Found again by its content: the packages as resolved, the modules and the agent's sources. */
export function imageKey(recipe: ImageRecipe, resolved: readonly string[]): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([BUILDER_VERSION, recipe.kernelPackage, resolved, KERNEL_MODULES]));
  hash.update(agentKey());
  return hash.digest("hex").slice(0, 32);
}

/** Hash of the agent's sources: an image with another agent speaks another language. */
export function agentKey(): string {
  const hash = createHash("sha256");
  for (const file of agentFiles())
    hash.update(file).update(readFileSync(join(AGENT_SOURCES, file)));
  return hash.digest("hex").slice(0, 32);
}

export function agentFiles(): readonly string[] {
  return readdirSync(AGENT_SOURCES)
    .filter((name) => /\.[ch]$/.test(name))
    .toSorted();
}
