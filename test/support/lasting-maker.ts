import { join } from "node:path";
import { armCrashPoint } from "../../src/lib/crash-point.ts";
import { runProcess } from "../../src/lib/process.ts";
import type { LastingProvider } from "../../src/workspaces/lasting-workspace.ts";
import { openLedger, type KeptLedger } from "../../src/workspaces/kept-ledger.ts";
import {
  createKept,
  deleteKeptSnapshot,
  destroyKept,
  forkKept,
  type KeptMeans,
  snapshotKept,
} from "../../src/workspaces/kept-workspaces.ts";
import {
  prepareGolden,
  type GoldenInputs,
  type PrepareRequest,
} from "../../src/workspaces/prepare.ts";
import { createDockerProvider } from "../../src/workspaces/docker/docker.ts";
import { createLocalProvider } from "../../src/workspaces/local.ts";
import { createSandboxProvider } from "../../src/workspaces/sandbox.ts";
import { createVmProvider } from "../../src/workspaces/vm.ts";
import type { WorkspaceSeed } from "../../src/workspaces/workspace.ts";
import { value } from "./lasting-rig.ts";
import { ENV } from "./workspace-rig.ts";

/** What a process of its own does with workspaces until it is killed. */
export interface Making {
  /** `local` where it is left out. */
  readonly kind?: keyof typeof PROVIDERS;
  readonly root: string;
  readonly seed: WorkspaceSeed;
  readonly crashAt: string;
  readonly act: keyof typeof ACTS;
  /** Of containers, made of this image; local ones where it is left out. */
  readonly image?: string;
  /** Of machines, which keep theirs there. */
  readonly vmCacheDir?: string;
}

const PROVIDERS = { local: createLocalProvider, sandbox: createSandboxProvider } as const;

const ACTS = {
  create: async (provider: LastingProvider, { seed }: Making) => {
    await provider.create({ id: "two", seed, env: ENV });
  },
  fork: async (provider: LastingProvider) => {
    await provider.fork("one@base", [{ id: "two", env: ENV }]);
  },
  snapshot: async (provider: LastingProvider) => value(await (await one(provider)).snapshot("new")),
  restore: async (provider: LastingProvider) => value(await (await one(provider)).restore("base")),
  forward: async (provider: LastingProvider) => {
    value(await (await one(provider)).forwardPort({ guestPort: 8080 }));
  },
  stop: async (provider: LastingProvider) => value(await (await one(provider)).stop()),
  start: async (provider: LastingProvider) => value(await (await one(provider)).start()),
  exec: async (provider: LastingProvider) => {
    await (await one(provider)).exec({ command: "true", timeoutMs: 60_000 });
  },
  destroy: async (provider: LastingProvider) => (await one(provider)).destroy(),
  remove: async (provider: LastingProvider) => provider.remove("one"),
  deleteSnapshot: async (provider: LastingProvider) => {
    value(await provider.deleteSnapshot("one@base"));
  },
  keptCreate: async (provider: LastingProvider, { root, seed }: Making) => {
    await createKept(meansOf(provider, root), { id: "two", seed, env: ENV });
  },
  keptFork: async (provider: LastingProvider, { root }: Making) => {
    await forkKept(meansOf(provider, root), "one@base", [{ id: "two", env: ENV }]);
  },
  keptSnapshot: async (provider: LastingProvider, { root }: Making) => {
    value(await snapshotKept(meansOf(provider, root), await one(provider), "new"));
  },
  keptDestroy: async (provider: LastingProvider, { root }: Making) => {
    await destroyKept(meansOf(provider, root), "one");
  },
  keptDeleteSnapshot: async (provider: LastingProvider, { root }: Making) => {
    value(await deleteKeptSnapshot(meansOf(provider, root), "one@base"));
  },
  prepare: async (provider: LastingProvider, { root, seed }: Making) => {
    value(await prepareGolden(prepareRequest({ provider, root, seed })));
  },
} as const;

/** The book is beside the workspaces. */
export function ledgerOf(root: string): KeptLedger {
  return openLedger(join(root, "../kept"));
}

function meansOf(provider: LastingProvider, root: string): KeptMeans {
  return { provider, ledger: ledgerOf(root), owner: "person" };
}

export function prepareRequest({
  provider,
  root,
  seed,
  ...inputs
}: Partial<GoldenInputs> & {
  readonly provider: LastingProvider;
  readonly root: string;
  readonly seed: WorkspaceSeed;
}): PrepareRequest {
  const given = { commands: ["echo set up > state"], variables: { COLOUR: "blue" }, env: ENV };
  return {
    provider,
    ledger: ledgerOf(root),
    inputs: { seed, ...given, ...inputs },
    commandTimeoutMs: 60_000,
    signal: new AbortController().signal,
  };
}

function providerOf({ root, image, vmCacheDir, kind = "local" }: Making): LastingProvider {
  if (vmCacheDir !== undefined) {
    return createVmProvider({ root, cacheDir: vmCacheDir, defaults: { memoryMb: 256 } });
  }
  if (image === undefined) return PROVIDERS[kind]({ root });
  const address = { socketPath: "/var/run/docker.sock" };
  return createDockerProvider({ root, address, image, gitEnvironment: { PATH: ENV.PATH } });
}

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
  await ACTS[making.act](providerOf(making), making);
}
