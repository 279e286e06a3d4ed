import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import { tryLockFile, type FileLock } from "../../lib/file-lock.ts";
import { endMarkedProcesses } from "../../lib/process.ts";
import { exists } from "../local-layout.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import { findEmulator, rememberEmulator, type Emulator } from "./accelerator.ts";
import { AgentConnection } from "./agent-connection.ts";
import { growDisk, settleDisk } from "./agent-requests.ts";
import type { Image } from "./image.ts";
import { machineMarker, startMachine, type MachineShape } from "./machine.ts";
import { openMonitor, saveState, setIgnoreShared, type Monitor } from "./qmp.ts";
import { touch } from "./prune-cache.ts";
import { openSocketFolder, type SocketFolder } from "./socket-folder.ts";
import { runTool } from "./tool.ts";

/** A saved machine, as it was at one moment. Nothing in it is ever changed. */
export interface Golden {
  readonly shape: MachineShape;
  readonly memoryPath: string;
  readonly statePath: string;
  /** An empty layer above the frozen disk: a fork takes a copy. */
  readonly overlayPath: string;
}

export interface GoldenRequest {
  readonly cacheDir: string;
  readonly image: Image;
  readonly shape: Omit<MachineShape, "accelerator">;
}

const BOOT_TIMEOUT_MS = { kvm: 10_000, tcg: 120_000 } as const;
const LOCK_TIMEOUT_MS = 240_000;
const LOCK_PAUSE_MS = 50;
const TOOL_TIMEOUT_MS = 30_000;

/**
 * A booted machine of an image, saved once its agent answers: what would be a boot is a fork of
 * it from then on. Made once for each image and shape; whoever comes meanwhile waits.
 */
export async function provideGolden(request: GoldenRequest): Promise<Result<Golden>> {
  const found = await findEmulator(request.cacheDir);
  if (!found.ok) return found;
  const first = await provideOn(request, found.value);
  if (first.ok || found.value.accelerator === "tcg" || found.value.isProved) return first;
  return provideOn(request, { ...found.value, accelerator: "tcg" });
}

async function provideOn(request: GoldenRequest, emulator: Emulator): Promise<Result<Golden>> {
  const shape = { ...request.shape, accelerator: emulator.accelerator };
  const goldens = join(request.cacheDir, "goldens");
  const folder = join(goldens, goldenKey(request.image, emulator, shape));
  const golden = goldenIn(folder, shape);
  // Said before it is looked at: what was said to be in use is not pruned.
  if (!touch(folder) || !exists(golden.overlayPath)) {
    await mkdir(goldens, { recursive: true });
    using lock = await lockPatiently(`${folder}.lock`);
    if (lock === null) return workspaceFailure("somebody else prepares the machine for too long");
    if (!exists(golden.overlayPath)) {
      const made = await makeGolden({ image: request.image, shape, folder });
      if (!made.ok) return made;
    }
  }
  if (!emulator.isProved) await rememberEmulator(request.cacheDir, emulator);
  return { ok: true, value: golden };
}

function goldenKey(image: Image, { version }: Emulator, shape: MachineShape): string {
  const parts = JSON.stringify([image.key, version, shape]);
  return createHash("sha256").update(parts).digest("hex").slice(0, 32);
}

function goldenIn(folder: string, shape: MachineShape): Golden {
  return {
    shape,
    memoryPath: join(folder, "memory"),
    statePath: join(folder, "state"),
    overlayPath: join(folder, "overlay.qcow2"),
  };
}

async function lockPatiently(path: string): Promise<FileLock | null> {
  const deadline = systemClock.monotonic() + LOCK_TIMEOUT_MS;
  for (;;) {
    const lock = tryLockFile(path);
    if (lock !== null || systemClock.monotonic() > deadline) return lock;
    await systemClock.sleep(LOCK_PAUSE_MS);
  }
}

/** With the lock of `folder`. */
async function makeGolden(order: {
  readonly image: Image;
  readonly shape: MachineShape;
  readonly folder: string;
}): Promise<Result<void>> {
  const { image, shape, folder } = order;
  const work = bootFolder(folder);
  try {
    await clearBoot(work);
    await mkdir(work);
    const booted = await bootAndSave(work, image, shape);
    if (!booted.ok) return booted;
    // What a builder that was killed left in the way.
    await rm(folder, { recursive: true, force: true });
    await rename(work, folder);
    return await makeOverlay(join(folder, "disk.qcow2"), join(folder, "overlay.qcow2"));
  } finally {
    await clearBoot(work);
  }
}

const BOOTING = ".booting-";

function bootFolder(folder: string): string {
  return join(dirname(folder), `${BOOTING}${basename(folder)}`);
}

async function clearBoot(work: string): Promise<void> {
  await endMarkedProcesses(machineMarker(work));
  await rm(work, { recursive: true, force: true });
}

/** Ends machines that were being booted when whoever wanted to save them was killed. */
export async function removeAbandonedBoots(cacheDir: string): Promise<void> {
  const goldens = join(cacheDir, "goldens");
  const names = exists(goldens) ? await readdir(goldens) : [];
  for (const name of names.filter((entry) => entry.startsWith(BOOTING))) {
    using lock = tryLockFile(join(goldens, `${name.slice(BOOTING.length)}.lock`));
    if (lock !== null) await clearBoot(join(goldens, name));
  }
}

async function bootAndSave(
  folder: string,
  image: Image,
  shape: MachineShape,
): Promise<Result<void>> {
  const disk = await makeDiskLayer(image, shape, join(folder, "disk.qcow2"));
  if (!disk.ok) return disk;
  const memoryPath = join(folder, "memory");
  const origin = { kind: "boot", image, memoryPath } as const;
  const started = await startMachine({ folder, shape, origin });
  if (!started.ok) return started;
  using sockets = openSocketFolder(folder);
  let isGone = false;
  void started.value.ended.then(() => (isGone = true));
  const agent = await AgentConnection.open({
    path: sockets.at("port1"),
    timeoutMs: BOOT_TIMEOUT_MS[shape.accelerator],
    isGone: () => isGone,
  });
  if (!agent.ok) return workspaceFailure(`the machine did not boot: ${readLog(folder)}`);
  const grown = await growDisk(agent.value);
  const settled = grown.ok ? await settleDisk(agent.value, false) : grown;
  agent.value.close();
  if (!settled.ok) return settled;
  return freeze(folder);
}

async function freeze(folder: string): Promise<Result<void>> {
  using sockets = openSocketFolder(folder);
  const opened = await openMonitor(sockets.at("qmp"));
  if (!opened.ok) return opened;
  using monitor = opened.value;
  const stopped = await monitor.execute("stop");
  return stopped.ok ? await saveAndEnd(monitor, folder, sockets) : stopped;
}

/** Saves a stopped machine whose memory is a file, beside it, and ends it. */
export async function saveAndEnd(
  monitor: Monitor,
  folder: string,
  sockets: SocketFolder,
): Promise<Result<void>> {
  const ignoring = await setIgnoreShared(monitor, true);
  if (!ignoring.ok) return ignoring;
  const saved = await saveState(monitor, {
    socketPath: "saving",
    bindPath: sockets.at("saving"),
    target: join(folder, "state"),
  });
  if (!saved.ok) return saved;
  const quit = await monitor.execute("quit");
  return quit.ok ? { ok: true, value: undefined } : quit;
}

/** The machine's own disk: the image below, and as much room above as it may fill. */
export async function makeDiskLayer(
  image: Image,
  { diskMb }: MachineShape,
  target: string,
): Promise<Result<void>> {
  const below = ["-b", image.disk, "-F", "raw"] as const;
  const command = [
    "qemu-img",
    "create",
    "-q",
    "-f",
    "qcow2",
    ...below,
    target,
    `${diskMb}M`,
  ] as const;
  const made = await runTool({ command, timeoutMs: TOOL_TIMEOUT_MS });
  return made.ok ? { ok: true, value: undefined } : made;
}

/** An empty layer above a frozen one, put in its place in one step. */
export async function makeOverlay(frozen: string, target: string): Promise<Result<void>> {
  const unfinished = `${target}.new`;
  const below = ["-b", frozen, "-F", "qcow2"] as const;
  const command = ["qemu-img", "create", "-q", "-f", "qcow2", ...below, unfinished] as const;
  const made = await runTool({ command, timeoutMs: TOOL_TIMEOUT_MS });
  if (!made.ok) return made;
  await rename(unfinished, target);
  return { ok: true, value: undefined };
}

/** A fork's own disk, put in the place of whatever is there in one step. */
export async function copyOverlay(
  { overlayPath }: Pick<Golden, "overlayPath">,
  target: string,
): Promise<Result<void>> {
  try {
    await copyFile(overlayPath, `${target}.new`);
    await rename(`${target}.new`, target);
    return { ok: true, value: undefined };
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return workspaceFailure(`cannot make a disk: ${String(error)}`, { cause: error });
  }
}

function readLog(folder: string): string {
  const text = readFileSync(join(folder, "machine.log"), "utf8").trim();
  return text === "" ? "its agent did not answer in time" : text.slice(-1000);
}
