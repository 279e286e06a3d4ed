import { armCrashPoint } from "../../src/lib/crash-point.ts";
import { runProcess } from "../../src/lib/process.ts";
import type { LastingProvider } from "../../src/workspaces/lasting-workspace.ts";
import { createLocalProvider } from "../../src/workspaces/local.ts";
import type { WorkspaceSeed } from "../../src/workspaces/workspace.ts";
import { value } from "./lasting-rig.ts";
import { ENV } from "./workspace-rig.ts";

/** What a process of its own does with local workspaces until it is killed. */
export interface Making {
  readonly root: string;
  readonly seed: WorkspaceSeed;
  readonly crashAt: string;
  readonly act: keyof typeof ACTS;
}

const ACTS = {
  create: async (provider: LastingProvider, { seed }: Making) => {
    await provider.create({ id: "two", seed, env: ENV });
  },
  fork: async (provider: LastingProvider) => {
    await provider.fork("one@base", [{ id: "two", env: ENV }]);
  },
  snapshot: async (provider: LastingProvider) => value(await (await one(provider)).snapshot("new")),
  restore: async (provider: LastingProvider) => value(await (await one(provider)).restore("base")),
  destroy: async (provider: LastingProvider) => (await one(provider)).destroy(),
  remove: async (provider: LastingProvider) => provider.remove("one"),
  deleteSnapshot: async (provider: LastingProvider) => {
    value(await provider.deleteSnapshot("one@base"));
  },
} as const;

async function one(provider: LastingProvider) {
  const found = await provider.find({ id: "one", env: ENV });
  if (found === null) throw new Error("there is no workspace one");
  return found;
}

/** Starts such a process and answers how it ended. */
export async function makeUntilKilled(making: Making): Promise<string> {
  const { ending, stderr } = await runProcess({
    command: [process.execPath, import.meta.filename, JSON.stringify(making)],
    cwd: "/",
    env: { PATH: ENV.PATH },
    timeoutMs: 60_000,
    outputBytesMax: 10_000,
  });
  return ending.kind === "signalled" ? ending.signal : `not killed: ${stderr.bytes.toString()}`;
}

if (process.argv[1] === import.meta.filename) {
  const making = JSON.parse(process.argv[2] ?? "") as Making;
  armCrashPoint(making.crashAt);
  await ACTS[making.act](createLocalProvider({ root: making.root }), making);
}
