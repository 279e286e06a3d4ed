import { mkdirSync, realpathSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Result } from "../domain/failure.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { mapLimited } from "../lib/map-limited.ts";
import type {
  ForkRequest,
  LastingProvider,
  LastingRequest,
  LastingWorkspace,
} from "./lasting-workspace.ts";
import { exists, isWorkspaceId } from "./local-layout.ts";
import { closePortsOf } from "./ports/open-ports.ts";
import { removeFolder } from "./remove-folder.ts";
import { findEmulator } from "./vm/accelerator.ts";
import { removeAbandonedBoots, type Golden } from "./vm/golden.ts";
import { endAll } from "./vm/agent-requests.ts";
import { removeUnusedLayers, type VmPlaces } from "./vm/disk-layers.ts";
import { LastingVmWorkspace } from "./vm/lasting-vm-workspace.ts";
import { beginFork, makeVm, provideImage, shapeOf, type VmDefaults } from "./vm/make-vm.ts";
import { pruneCache, rememberPlaces } from "./vm/prune-cache.ts";
import { listVmSnapshots } from "./vm/snapshot-records.ts";
import { deleteVmSnapshot, withSnapshot } from "./vm/snapshots.ts";
import { runTool } from "./vm/tool.ts";
import { VmKeeper } from "./vm/vm-keeper.ts";
import { VmMachine } from "./vm/vm-machine.ts";
import {
  isWhole,
  markRemoving,
  readRecord,
  vmLayout,
  writeRecord,
  type VmLayout,
  type VmRecord,
} from "./vm/vm-record.ts";
import { VmWorkspace, type VmLimits } from "./vm/vm-workspace.ts";
import type { WorkspaceLimits, WorkspaceProvider } from "./workspace.ts";
import { codeOf, workspaceFailure } from "./workspace-failure.ts";

export interface VmProviderOptions {
  /** Holds a folder a workspace; made where it is missing. */
  readonly root: string;
  /** Holds a folder a snapshot, and the disks that they share; on the same file system as `root`. */
  readonly snapshots?: string;
  /** Images, booted machines and packs. The disks of workspaces stand on those in it. */
  readonly cacheDir: string;
  readonly defaults?: WorkspaceLimits;
  readonly limits?: Partial<VmLimits>;
}

const LIMITS: VmLimits = {
  checkoutTimeoutMs: 600_000,
  collectTimeoutMs: 300_000,
  removeTimeoutMs: 300_000,
  bundleBytesMax: 2 * 1024 * 1024 * 1024,
  outputBytesMax: 65_536,
};

const DEFAULTS: VmDefaults = { cpus: 1, memoryMb: 512, diskMb: 4096, pids: 1024 };

const HINT = "apt-get install qemu-system-x86 qemu-utils e2fsprogs gcc libc6-dev";
const TOOLS = ["qemu-img --version", "mke2fs -V", "cc --version"] as const;
const PROBE_TIMEOUT_MS = 10_000;
/** More at once only wait for each other. */
const FORKS_AT_ONCE = 16;

interface Means {
  readonly root: string;
  readonly snapshots: string;
  readonly cacheDir: string;
  readonly limits: VmLimits;
  readonly defaults: VmDefaults;
}

/**
 * By their folders, for each workspace that this process has met, whichever provider asked: its users
 * share a conversation, of which a machine has few.
 */
const machines = new Map<string, VmMachine>();

/** Workspaces that are virtual machines, each a live fork of a booted one. */
export function createVmProvider(options: VmProviderOptions): LastingProvider {
  const means: Means = {
    root: options.root,
    snapshots: options.snapshots ?? join(options.root, "../snapshots"),
    cacheDir: resolve(options.cacheDir),
    limits: { ...LIMITS, ...options.limits },
    defaults: { ...DEFAULTS, ...withoutUndefined(options.defaults ?? {}) },
  };
  return {
    kind: "vm",
    isolation:
      "a virtual machine of its own: its kernel, its disk and its memory are not this machine's; " +
      "what is shared is QEMU, as a process of your own user",
    probe: () => probe(means),
    create: (request) => create(means, request),
    find: async ({ id, env }) => {
      const layout = locate(means, id);
      if (layout === null || !isWhole(readRecord(layout))) return null;
      await keeperOf(means, id, layout).settleAbandoned();
      return open(means, { id, layout, env });
    },
    list: () => listFolders(means.root),
    endLeftovers: (id) => endLeftovers(means, id),
    remove: (id) => remove(means, id),
    listSnapshots: async () => listVmSnapshots(placesOf(means)),
    deleteSnapshot: (id) =>
      deleteVmSnapshot(placesOf(means), id, (workspace) => letGo(means, workspace)),
    tidy: (request) => tidy(means, request),
    fork: (snapshot, forks) =>
      mapLimited(forks, FORKS_AT_ONCE, (request) => fork(means, snapshot, request)),
  };
}

function withoutUndefined(limits: WorkspaceLimits): Partial<VmDefaults> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}

function placesOf({ root, snapshots }: Means): VmPlaces {
  return { workspaces: withoutLinks(root), snapshots: withoutLinks(snapshots) };
}

function withoutLinks(folder: string): string {
  return exists(folder) ? realpathSync(folder) : resolve(folder);
}

function locate({ root }: Means, id: string): VmLayout | null {
  return vmLayout(withoutLinks(root), id);
}

function machineOf(id: string, layout: VmLayout): VmMachine {
  const known = machines.get(layout.folder);
  if (known !== undefined) return known;
  const machine = new VmMachine(id, layout);
  machines.set(layout.folder, machine);
  return machine;
}

async function probe({ cacheDir }: Means): ReturnType<WorkspaceProvider["probe"]> {
  if (process.platform !== "linux") {
    return { kind: "missing", what: "Linux", hint: "use another kind of workspace" };
  }
  const emulator = await findEmulator(cacheDir);
  if (!emulator.ok) return { kind: "missing", what: emulator.failure.message, hint: HINT };
  for (const tool of TOOLS) {
    const command = tool.split(" ") as [string, ...string[]];
    const answered = await runTool({ command, timeoutMs: PROBE_TIMEOUT_MS });
    if (!answered.ok) return { kind: "missing", what: answered.failure.message, hint: HINT };
  }
  const { version, accelerator, isProved } = emulator.value;
  const how = accelerator === "kvm" ? "KVM" : "software emulation";
  const proof = isProved ? "" : ", which the first machine will prove";
  return { kind: "available", details: `QEMU ${version} with ${how}${proof}` };
}

interface Opening {
  readonly id: string;
  readonly layout: VmLayout;
  readonly env: Readonly<Record<string, string>>;
}

function open(means: Means, { id, layout, env }: Opening): LastingWorkspace {
  const keeper = keeperOf(means, id, layout);
  const { machine } = keeper;
  const connect = () => keeper.wake();
  const core = new VmWorkspace({ id, layout, machine, env, limits: means.limits, connect });
  return new LastingVmWorkspace({ core, layout, places: placesOf(means), keeper });
}

function keeperOf(means: Means, id: string, layout: VmLayout): VmKeeper {
  return new VmKeeper({
    id,
    layout,
    machine: machineOf(id, layout),
    provideImage: (name) => provideImage(means.cacheDir, name),
  });
}

/** All of a workspace or nothing of it, unless this process dies on the way. */
async function create(means: Means, request: LastingRequest): Promise<Result<LastingWorkspace>> {
  const { id, env } = request;
  const shape = shapeOf(means.defaults, request);
  if (!shape.ok) return shape;
  const claimed = claimFolder(means, id);
  if (!claimed.ok) return claimed;
  const layout = claimed.value;
  const { cacheDir, defaults, limits } = means;
  rememberPlaces(cacheDir, placesOf(means));
  const makeMeans = { cacheDir, defaults, checkoutTimeoutMs: limits.checkoutTimeoutMs };
  const machine = machineOf(id, layout);
  const made = await attempt(`cannot make workspace ${id}`, () =>
    makeVm(makeMeans, request, { layout, machine }),
  );
  if (made.ok) return { ok: true, value: open(means, { id, layout, env }) };
  await remove(means, id);
  return made;
}

function claimFolder(means: Means, id: string): Result<VmLayout> {
  try {
    if (!isWorkspaceId(id)) return workspaceFailure(`"${id}" cannot be the id of a workspace`);
    mkdirSync(means.root, { recursive: true });
    const layout = locate(means, id);
    if (layout === null) return workspaceFailure(`"${id}" cannot be the id of a workspace`);
    mkdirSync(layout.folder);
    return { ok: true, value: layout };
  } catch (error) {
    const code = codeOf(error);
    if (code === "") throw error;
    const hint = code === "EEXIST" ? { hint: "remove it first, or choose another id" } : {};
    const message = `cannot make workspace ${id}: ${String(error)}`;
    return workspaceFailure(message, { cause: error, ...hint });
  }
}

async function fork(
  means: Means,
  snapshot: string,
  request: ForkRequest,
): Promise<Result<LastingWorkspace>> {
  const { id, env } = request;
  const places = placesOf(means);
  let layout: VmLayout | null = null;
  const forked = await attempt(`cannot fork ${snapshot}`, async () => {
    const begun = await withSnapshot(places, snapshot, async (found, frozen) => {
      const record = beginFork(found, request, snapshot);
      if (!record.ok) return record;
      const claimed = claimFolder(means, id);
      if (!claimed.ok) return claimed;
      layout = claimed.value;
      writeRecord(layout, record.value);
      const from = { frozen, isLive: found.isLive };
      return { ok: true, value: { ...from, record: record.value, layout } };
    });
    if (!begun.ok) return begun;
    crashPoint("fork.recorded");
    return finishFork(means, begun.value, { id, snapshot, env });
  });
  if (!forked.ok && layout !== null) await remove(means, id);
  return forked;
}

async function finishFork(
  means: Means,
  begun: {
    readonly layout: VmLayout;
    readonly record: VmRecord;
    readonly frozen: Golden;
    readonly isLive: boolean;
  },
  { id, snapshot, env }: Pick<ForkRequest, "id" | "env"> & { readonly snapshot: string },
): Promise<Result<LastingWorkspace>> {
  const { layout, record, frozen, isLive } = begun;
  const keeper = keeperOf(means, id, layout);
  const going = await keeper.resume({ ...record, state: "running" }, { frozen, isLive });
  if (!going.ok) return going;
  crashPoint("fork.copied");
  writeRecord(layout, { ...record, state: "running" });
  keeper.machine.log(`forked from ${snapshot}`);
  return { ok: true, value: open(means, { id, layout, env }) };
}

/** What the system refuses, such as room on the disk, is an answer like any other. */
async function attempt<T>(what: string, act: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await act();
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return workspaceFailure(`${what}: ${String(error)}`, { cause: error });
  }
}

async function tidy(
  means: Means,
  { nowMs, dryRun }: { readonly nowMs: number; readonly dryRun: boolean },
): Promise<readonly string[]> {
  const { root, cacheDir } = means;
  if (!dryRun) {
    for (const id of await listFolders(root)) {
      const layout = locate(means, id);
      if (layout !== null) await keeperOf(means, id, layout).settleAbandoned();
    }
    if (exists(root)) rememberPlaces(cacheDir, placesOf(means));
    await removeAbandonedBoots(cacheDir);
  }
  return pruneCache({ cacheDir, nowMs, dryRun });
}

async function letGo(means: Means, id: string): Promise<void> {
  const layout = locate(means, id);
  const record = layout === null ? null : readRecord(layout);
  if (layout !== null && record?.isHeld === true) await keeperOf(means, id, layout).wake();
}

async function endLeftovers(means: Means, id: string): Promise<number> {
  const layout = locate(means, id);
  const record = layout === null ? null : readRecord(layout);
  if (layout === null || record === null) return 0;
  const machine = machineOf(id, layout);
  if (!machine.isRunning()) return 0;
  const agent = await machine.connect(record.shape);
  // A machine that does not listen cannot be trusted to be idle.
  if (!agent.ok) return machine.kill();
  const ended = await endAll(agent.value);
  return ended.ok ? ended.value : machine.kill();
}

async function remove(means: Means, id: string): Promise<void> {
  const layout = locate(means, id);
  if (layout === null || !exists(layout.folder)) return;
  markRemoving(layout);
  crashPoint("workspace.removing");
  const machine = machineOf(id, layout);
  await closePortsOf(layout.folder);
  await machine.kill();
  machines.delete(layout.folder);
  await removeFolder(layout.folder, means.limits.removeTimeoutMs);
  await removeUnusedLayers(placesOf(means));
  await removeAbandonedBoots(means.cacheDir);
}

/** Half-made workspaces too: whoever lists them may want to remove them. */
async function listFolders(root: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(root, { withFileTypes: true });
    return entries.flatMap((entry) =>
      entry.isDirectory() && isWorkspaceId(entry.name) ? entry.name : [],
    );
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}
