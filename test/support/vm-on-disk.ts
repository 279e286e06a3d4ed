import { createVmProvider } from "../../src/workspaces/vm.ts";
import { ENV } from "./workspace-rig.ts";

/**
 * What a process that sees a small disk does with machines on it, and answers as JSON: a machine
 * `one`, its snapshots, and its forks.
 */
export type DiskAct = "create" | "snapshot" | "fork" | "say" | "list" | "clear";

export interface DiskDoing {
  readonly act: DiskAct;
  readonly root: string;
  readonly cacheDir: string;
  /** Of the snapshot that is made, or the fork. */
  readonly name: string;
}

async function act({ act: wanted, root, cacheDir, name }: DiskDoing): Promise<unknown> {
  const provider = createVmProvider({ root, cacheDir, defaults: { memoryMb: 256 } });
  const one = await provider.find({ id: "one", env: ENV });
  switch (wanted) {
    case "create": {
      return shown(await provider.create({ id: "one", seed: null, env: ENV }));
    }
    case "snapshot": {
      return shown((await one?.snapshot(name)) ?? null);
    }
    case "fork": {
      const [fork] = await provider.fork("one@base", [{ id: name, env: ENV }]);
      return shown(fork ?? null);
    }
    case "say": {
      const { ending, stdout } =
        (await one?.exec({ command: "echo alive", timeoutMs: 60_000 })) ?? {};
      return { ending, said: stdout?.text };
    }
    case "list": {
      const snapshots = (await provider.listSnapshots()).map(({ id }) => id);
      return { workspaces: await provider.list(), snapshots };
    }
    case "clear": {
      for (const id of await provider.list()) await provider.remove(id);
      for (const { id } of await provider.listSnapshots()) await provider.deleteSnapshot(id);
      return { workspaces: await provider.list() };
    }
  }
}

function shown(answer: { readonly ok: boolean; readonly failure?: unknown } | null): object {
  if (answer === null || !answer.ok) return { ok: false, failure: answer?.failure };
  return { ok: true };
}

if (process.argv[1] === import.meta.filename) {
  console.log(JSON.stringify(await act(JSON.parse(process.argv[2] ?? "") as DiskDoing)));
}
