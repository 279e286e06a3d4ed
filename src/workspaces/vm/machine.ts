import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { startLogged } from "../../lib/process.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { QEMU, type AcceleratorKind } from "./accelerator.ts";
import type { Image } from "./image.ts";

/** What of a machine cannot change after its start; a fork has its parent's. */
export interface MachineShape {
  readonly memoryMb: number;
  /** Whole ones. */
  readonly processors: number;
  readonly diskMb: number;
  /** `cut`: it has a card, because the machine that it was forked from has one, that leads nowhere. */
  readonly network: "none" | "allow" | "cut";
  /** How many programs may talk to it at once: each takes a port for itself. */
  readonly channels: number;
  readonly accelerator: AcceleratorKind;
}

/** How a machine comes to its memory. */
export type MachineOrigin =
  /** From the kernel's first instruction; `memoryPath` makes the memory a file that others share. */
  | { readonly kind: "boot"; readonly image: Image; readonly memoryPath?: string }
  /** Goes on from a saved state, with a private view of its memory. */
  | { readonly kind: "fork"; readonly memoryPath: string; readonly statePath: string }
  /** Waits for another's state; its memory is a file, so that forks can share what comes. */
  | { readonly kind: "receive"; readonly memoryPath: string };

export interface MachineRequest {
  /** Its sockets, its disk `disk.qcow2` and its log lie here. */
  readonly folder: string;
  readonly shape: MachineShape;
  readonly origin: MachineOrigin;
}

export interface StartedMachine {
  readonly pid: number;
  readonly identity: string;
  readonly ended: Promise<void>;
}

/** Of new machines: the agent serves no more (`PORTS_MAX` in `guest/agent.h`). */
export const CHANNELS = 8;

/** The sockets of a machine's ports, in its folder. */
export function channelNames({ channels }: Pick<MachineShape, "channels">): readonly string[] {
  return Array.from({ length: channels }, (_, index) => `port${index + 1}`);
}

const STATE_FD = 3;

/** Stands in the environment of the machine's process, and of no other's. */
export function machineMarker(folder: string): string {
  return `MYCELIUM_MACHINE_DIR=${folder}`;
}

/** Starts QEMU as a process that outlives this one. It may not start programs of its own. */
export async function startMachine(request: MachineRequest): Promise<Result<StartedMachine>> {
  const { folder, origin } = request;
  const [name, value] = machineMarker(folder).split("=") as [string, string];
  const state = origin.kind !== "fork" ? null : openSync(origin.statePath, "r");
  try {
    const started = await startLogged({
      command: [QEMU, ...(await machineArguments(request))],
      cwd: folder,
      env: { PATH: "/usr/bin:/bin", [name]: value },
      logPath: join(folder, "machine.log"),
      files: state === null ? [] : [state],
    });
    if (!started.ok) return workspaceFailure(started.message);
    return { ok: true, value: started };
  } finally {
    if (state !== null) closeSync(state);
  }
}

/** Paths of sockets are relative: the system allows them a hundred characters. */
async function machineArguments({ shape, origin }: MachineRequest): Promise<readonly string[]> {
  const isKvm = shape.accelerator === "kvm";
  const options: readonly (readonly string[])[] = [
    ["-M", "microvm,acpi=on,memory-backend=mem", "-object", memoryOf(shape, origin)],
    ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ["-accel", isKvm ? "kvm" : "tcg,tb-size=64"],
    ["-cpu", isKvm ? "host" : "max", "-smp", String(shape.processors)],
    ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    // Nobody needs a disk to survive a power cut that the workspace does not survive.
    ["-drive", "if=none,id=disk,file=disk.qcow2,format=qcow2,cache=unsafe,discard=unmap"],
    ["-device", "virtio-blk-device,drive=disk", "-device", "virtio-serial-device"],
    channelNames(shape).flatMap((name, index) => portArguments(name, index + 1)),
    ["-device", "virtio-rng-device"],
    networkArguments(shape.network),
    // Bounded, whatever a guest prints.
    ["-chardev", "ringbuf,id=console,size=65536", "-serial", "chardev:console"],
    ["-qmp", "unix:qmp,server=on,wait=off"],
    origin.kind === "boot" ? await kernelArguments(origin.image, shape) : FROM_STATE,
  ];
  return options.flat();
}

function networkArguments(network: MachineShape["network"]): readonly string[] {
  if (network === "none") return [];
  // The saved state has a part of user networking's own, so that a cut machine needs that as well.
  const back = network === "allow" ? "user,id=net" : "user,id=net,restrict=on";
  return ["-netdev", back, "-device", "virtio-net-device,netdev=net"];
}

const FROM_STATE = ["-incoming", "defer"];

/** Where `migrate-incoming` finds the state of a machine that goes on. */
export const STATE_URI = `fd:${STATE_FD}`;

function memoryOf({ memoryMb }: MachineShape, origin: MachineOrigin): string {
  const size = `id=mem,size=${memoryMb}M`;
  const path = origin.memoryPath;
  if (path === undefined) return `memory-backend-ram,${size}`;
  const share = origin.kind === "fork" ? "off" : "on";
  return `memory-backend-file,${size},mem-path=${path.replaceAll(",", ",,")},share=${share}`;
}

function portArguments(name: string, number: number): readonly string[] {
  const socket = `socket,id=${name},path=${name},server=on,wait=off`;
  return ["-chardev", socket, "-device", `virtserialport,chardev=${name},nr=${number}`];
}

const KERNEL_WORDS: readonly string[] = [
  "console=ttyS0",
  "loglevel=3",
  "reboot=t",
  "panic=-1",
  "edd=off",
  "nokaslr",
  "mitigations=off",
  "audit=0",
  "init_on_alloc=0",
  "cgroup_disable=memory",
  "lsm=capability",
  "random.trust_cpu=on",
];

async function kernelArguments(image: Image, shape: MachineShape): Promise<readonly string[]> {
  const own = `mycelium_ports=${shape.channels}`;
  const words = [
    ...KERNEL_WORDS,
    own,
    ...(shape.accelerator === "tcg" ? await clockArguments() : []),
  ];
  return ["-kernel", image.kernel, "-initrd", image.initramfs, "-append", words.join(" ")];
}

/**
 * Translated guests count time by this machine's own counter, and a machine without a single timer
 * of the old kind cannot find out how fast that runs: without being told it hangs at its start.
 */
async function clockArguments(): Promise<readonly string[]> {
  const megahertz = /^cpu MHz\s*:\s*([\d.]+)/m.exec(await readFile("/proc/cpuinfo", "utf8"))?.[1];
  return [`tsc_early_khz=${Math.round(Number(megahertz ?? 2000) * 1000)}`];
}
