import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { createVmProvider, type VmProviderOptions } from "../../src/workspaces/vm.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import type { LastingRig } from "./lasting-rig.ts";

export interface VmRig extends LastingRig {
  /** Where the workspaces are. */
  readonly root: string;
}

/** Shared by all tests and runs of them: an image is built and a machine booted once. */
export const VM_CACHE = process.env["MYCELIUM_TEST_CACHE"] ?? join(tmpdir(), "mycelium-test-cache");

export const VM_CACHE_DIR = join(VM_CACHE, "vm");

/** How long the first test may take, which finds neither image nor booted machine. */
export const VM_PREPARE_TIMEOUT_MS = 600_000;

/** Small machines in a temporary folder. */
export async function vmRig(options: Partial<VmProviderOptions> = {}): Promise<VmRig> {
  const folder = await temporaryFolder();
  const root = join(folder.path, "workspaces");
  const defaults = { memoryMb: 256, ...options.defaults };
  const make = () => createVmProvider({ cacheDir: VM_CACHE_DIR, ...options, root, defaults });
  const provider = make();
  return {
    root,
    provider,
    reopen: make,
    leaveHalfMade: async (id) => {
      await mkdir(join(root, id), { recursive: true });
    },
    [Symbol.asyncDispose]: async () => {
      for (const id of await provider.list()) await provider.remove(id);
      await folder[Symbol.asyncDispose]();
    },
  };
}

/**
 * Suites that need machines: skipped by name where this machine has none, with how to get them,
 * unless nothing may be skipped.
 */
export async function describeWithMachines(name: string, define: () => void): Promise<void> {
  const probe = await createVmProvider({ root: "/nonexistent", cacheDir: VM_CACHE_DIR }).probe();
  const isMissing = probe.kind === "missing";
  const isSkipped = isMissing && process.env["MYCELIUM_REQUIRE_ALL"] !== "1";
  const why = isMissing ? ` (${probe.what}; ${probe.hint})` : "";
  describe.skipIf(isSkipped)(`${name}${why}`, () => {
    define();
  });
}
