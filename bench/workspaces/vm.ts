import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createVmProvider } from "../../src/workspaces/vm.ts";
import { seedRepository } from "../../test/support/seed-repository.ts";
import type { KindBench } from "./kind.ts";
import { succeed, valueOf } from "./stopwatch.ts";

const MEMORY_MB = 256;

/** Machines beside their own cold boot. The image is built where the cache has none, not measured. */
export async function vmBench(cache: string): Promise<KindBench> {
  const folder = await mkdtemp(join(tmpdir(), "mycelium-bench-vm-"));
  const root = join(folder, "vms");
  const cacheDir = join(cache, "vm");
  const provider = createVmProvider({ root, cacheDir, defaults: { memoryMb: MEMORY_MB } });
  const seed = await seedRepository();
  const { gitDir, objectFormat, head: commit } = seed;
  return {
    kind: "vm",
    provider,
    seed: { gitDir, objectFormat, commit },
    pidsOf: async (id) => [await pidOf(join(root, id, "machine.json"))],
    measureBare: async (watch, _round, workspace) => {
      valueOf(await workspace.stop());
      await watch.timed("bare start, first answer", async () => {
        await watch.timed("bare start", async () => valueOf(await workspace.start()));
        await succeed(workspace);
      });
    },
    [Symbol.asyncDispose]: async () => {
      for (const id of await provider.list()) await provider.remove(id);
      for (const { id } of await provider.listSnapshots()) await provider.deleteSnapshot(id);
      await rm(folder, { recursive: true, force: true });
      await seed[Symbol.asyncDispose]();
    },
  };
}

async function pidOf(record: string): Promise<number> {
  const { pid } = JSON.parse(await readFile(record, "utf8")) as { readonly pid: number };
  return pid;
}
