import { randomBytes } from "node:crypto";
import { mkdirSync, realpathSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Result } from "../domain/failure.ts";
import { systemClock, timestamp } from "../lib/clock.ts";
import { tryLockFile } from "../lib/file-lock.ts";
import { exists, isWorkspaceId } from "./local-layout.ts";
import { removeFolder } from "./remove-folder.ts";
import { findEmulator } from "./vm/accelerator.ts";
import type { AgentConnection } from "./vm/agent-connection.ts";
import { endAll } from "./vm/agent-requests.ts";
import { provideGolden } from "./vm/golden.ts";
import { buildImage, DEFAULT_IMAGE, findImage, type Image } from "./vm/image.ts";
import type { MachineShape } from "./vm/machine.ts";
import { seedGuest } from "./vm/seed.ts";
import { runTool } from "./vm/tool.ts";
import { VmMachine } from "./vm/vm-machine.ts";
import { readRecord, vmLayout, writeRecord, type VmLayout, type VmRecord } from "./vm/vm-record.ts";
import { VmWorkspace, type VmLimits } from "./vm/vm-workspace.ts";
import type { WorkspaceLimits, WorkspaceProvider, WorkspaceRequest } from "./workspace.ts";
import { codeOf, workspaceFailure } from "./workspace-failure.ts";

export interface VmProviderOptions {
  /** Holds a folder a workspace; made where it is missing. */
  readonly root: string;
  /** Images, booted machines and packs: can be removed whenever no machine runs. */
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

const DEFAULTS = { cpus: 1, memoryMb: 512, diskMb: 4096, pids: 1024 } as const;
const MEMORY_MB_MIN = 128;
/** Beyond this the memory would lie in two pieces. */
const MEMORY_MB_MAX = 3072;

const HINT = "apt-get install qemu-system-x86 qemu-utils e2fsprogs gcc libc6-dev";
const TOOLS = ["qemu-img --version", "mke2fs -V", "cc --version"] as const;
const PROBE_TIMEOUT_MS = 10_000;
const IMAGE_LOCK_TIMEOUT_MS = 600_000;
const IMAGE_LOCK_PAUSE_MS = 200;

interface Means {
  readonly root: string;
  readonly cacheDir: string;
  readonly limits: VmLimits;
  readonly defaults: Required<{ [Key in keyof typeof DEFAULTS]: number }>;
  /** One for each workspace that this process has met, so that its users share a conversation. */
  readonly machines: Map<string, VmMachine>;
}

/** Workspaces that are virtual machines, each a live fork of a booted one. */
export function createVmProvider(options: VmProviderOptions): WorkspaceProvider {
  const means: Means = {
    root: options.root,
    cacheDir: resolve(options.cacheDir),
    limits: { ...LIMITS, ...options.limits },
    defaults: { ...DEFAULTS, ...withoutUndefined(options.defaults ?? {}) },
    machines: new Map(),
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
      const record = layout === null ? null : readRecord(layout);
      if (layout === null || record?.state !== "ready") return null;
      return open(means, { id, layout, record, env });
    },
    list: () => listFolders(means.root),
    endLeftovers: (id) => endLeftovers(means, id),
    remove: (id) => remove(means, id),
  };
}

function withoutUndefined(limits: WorkspaceLimits): Partial<Means["defaults"]> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}

function locate({ root }: Means, id: string): VmLayout | null {
  return vmLayout(exists(root) ? realpathSync(root) : resolve(root), id);
}

function machineOf({ machines }: Means, id: string, layout: VmLayout): VmMachine {
  const known = machines.get(id);
  if (known !== undefined) return known;
  const machine = new VmMachine(id, layout);
  machines.set(id, machine);
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
  readonly record: VmRecord;
  readonly env: Readonly<Record<string, string>>;
}

function open(means: Means, { id, layout, record, env }: Opening): VmWorkspace {
  const machine = machineOf(means, id, layout);
  const connect = (): Promise<Result<AgentConnection>> =>
    machine.isRunning() ? machine.connect(record.shape) : bootAgain(means, machine, layout, record);
  return new VmWorkspace({ id, layout, record, machine, env, limits: means.limits, connect });
}

/** A machine that ended under its workspace begins again from its disk. */
async function bootAgain(
  means: Means,
  machine: VmMachine,
  layout: VmLayout,
  record: VmRecord,
): Promise<Result<AgentConnection>> {
  if (!exists(layout.disk)) return workspaceFailure("the workspace is gone");
  const image = findImage(imagesIn(means), record.image);
  if (image === null) return missingImage(record.image);
  return machine.boot(image, record);
}

function imagesIn({ cacheDir }: Means): string {
  return join(cacheDir, "images");
}

function missingImage(name: string): Result<never> {
  return {
    ok: false,
    failure: {
      code: "image-missing",
      message: `there is no image called ${name}`,
      details: { image: name },
      hint: "leave the image out: the default one is built where it is missing",
    },
  };
}

/** All of a workspace or nothing of it, unless this process dies on the way. */
async function create(means: Means, request: WorkspaceRequest): Promise<Result<VmWorkspace>> {
  const { id } = request;
  if (!isWorkspaceId(id)) return workspaceFailure(`"${id}" cannot be the id of a workspace`);
  const shape = shapeOf(means, request);
  if (!shape.ok) return shape;
  const layout = makeFolder(means, id);
  if (!layout.ok) return layout;
  const made = await make(means, request, layout.value, shape.value);
  if (!made.ok) await remove(means, id);
  return made;
}

function shapeOf(
  { defaults }: Means,
  { limits = {}, network = "allow" }: WorkspaceRequest,
): Result<Omit<MachineShape, "accelerator">> {
  const { cpus, memoryMb, diskMb } = { ...defaults, ...withoutUndefined(limits) };
  if (memoryMb < MEMORY_MB_MIN || memoryMb > MEMORY_MB_MAX) {
    const range = `${MEMORY_MB_MIN} to ${MEMORY_MB_MAX}`;
    return workspaceFailure(`a machine's memory is ${range} MB, not ${memoryMb}`);
  }
  return { ok: true, value: { memoryMb, processors: Math.ceil(cpus), diskMb, network } };
}

function makeFolder(means: Means, id: string): Result<VmLayout> {
  try {
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

async function make(
  means: Means,
  { id, seed, env, limits = {}, image: imageName = DEFAULT_IMAGE }: WorkspaceRequest,
  layout: VmLayout,
  wanted: Omit<MachineShape, "accelerator">,
): Promise<Result<VmWorkspace>> {
  const image = await provideImage(means, imageName);
  if (!image.ok) return image;
  const golden = await provideGolden({
    cacheDir: means.cacheDir,
    image: image.value,
    shape: wanted,
  });
  if (!golden.ok) return golden;
  const { cpus, pids } = { ...means.defaults, ...withoutUndefined(limits) };
  const record: VmRecord = {
    version: 1,
    state: "making",
    seed: { ...seed },
    createdAt: timestamp(systemClock),
    machineId: randomBytes(16).toString("hex"),
    image: imageName,
    pids,
    cpus,
    shape: golden.value.shape,
  };
  await writeRecord(layout, record);
  const agent = await machineOf(means, id, layout).fork(golden.value, record);
  if (!agent.ok) return agent;
  const timeoutMs = means.limits.checkoutTimeoutMs;
  const seeded = await seedGuest(agent.value, { cacheDir: means.cacheDir, seed, timeoutMs });
  if (!seeded.ok) return seeded;
  const ready = { ...record, state: "ready" } as const;
  await writeRecord(layout, ready);
  return { ok: true, value: open(means, { id, layout, record: ready, env }) };
}

/** The default image is built where it is missing; others are built by name. */
async function provideImage(means: Means, name: string): Promise<Result<Image>> {
  const folder = imagesIn(means);
  const found = findImage(folder, name);
  if (found !== null) return { ok: true, value: found };
  if (name !== DEFAULT_IMAGE) return missingImage(name);
  mkdirSync(folder, { recursive: true });
  const deadline = systemClock.monotonic() + IMAGE_LOCK_TIMEOUT_MS;
  for (;;) {
    using lock = tryLockFile(join(folder, `${name}.lock`));
    const meanwhile = findImage(folder, name);
    if (meanwhile !== null) return { ok: true, value: meanwhile };
    if (lock !== null) return await buildImage(folder, name);
    if (systemClock.monotonic() > deadline) return workspaceFailure(`image ${name} is not built`);
    await systemClock.sleep(IMAGE_LOCK_PAUSE_MS);
  }
}

async function endLeftovers(means: Means, id: string): Promise<number> {
  const layout = locate(means, id);
  const record = layout === null ? null : readRecord(layout);
  if (layout === null || record === null) return 0;
  const machine = machineOf(means, id, layout);
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
  await machineOf(means, id, layout).kill();
  means.machines.delete(id);
  await removeFolder(layout.folder, means.limits.removeTimeoutMs);
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
