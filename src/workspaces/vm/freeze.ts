import { rmSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { endMarkedProcesses } from "../../lib/process.ts";
import { freezeDisk, makeDiskOn, type VmPlaces } from "./disk-layers.ts";
import { isFull } from "./disk-room.ts";
import { saveAndEnd, type Golden } from "./golden.ts";
import { channelNames, machineMarker, startMachine } from "./machine.ts";
import {
  awaitState,
  nothingOf,
  openMonitor,
  sendState,
  setIgnoreShared,
  type Monitor,
} from "./qmp.ts";
import { openSocketFolder } from "./socket-folder.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { readEnd } from "./vm-logs.ts";
import type { VmLayout } from "./vm-record.ts";
import type { VmMachine } from "./vm-machine.ts";

export interface FreezeOrder {
  readonly places: VmPlaces;
  readonly layout: VmLayout;
  readonly machine: VmMachine;
  /** What is to be made; all of it lies in `folder`. */
  readonly frozen: Golden;
  readonly folder: string;
}

/** The disk of a workspace whose machine does not run. */
export async function freezeStopped(order: FreezeOrder): Promise<Result<void>> {
  const { places, layout, machine, frozen } = order;
  const { diskMb } = frozen.shape;
  const made = await freezeDisk(places, {
    disk: layout.disk,
    diskMb,
    overlay: frozen.overlayPath,
  });
  if (!made.ok) return made;
  machine.takeDisk(basename(made.value.next));
  return DONE;
}

/**
 * A running machine, which stands still meanwhile and then goes on. Its state goes to a second one
 * that has its memory in a file, for forks to share; that one is saved and never runs.
 */
export async function freezeRunning(order: FreezeOrder): Promise<Result<void>> {
  const { folder, frozen } = order;
  const disk = join(folder, "disk.qcow2");
  try {
    const made = await makeDiskOn(null, { target: disk, diskMb: frozen.shape.diskMb });
    if (!made.ok) return made;
    const { memoryPath } = frozen;
    const origin = { kind: "receive", memoryPath } as const;
    const started = await startMachine({ folder, shape: frozen.shape, origin });
    if (!started.ok) return started;
    let isGone = false;
    void started.value.ended.then(() => (isGone = true));
    using sockets = openSocketFolder(folder);
    const opened = await openMonitor(sockets.at("qmp"), { isGone: () => isGone });
    if (!opened.ok) return opened;
    using receiver = opened.value;
    const sent = await sendTo(order, receiver);
    const saved = sent.ok ? await saveAndEnd(receiver, folder, sockets) : sent;
    if (saved.ok) return saved;
    // A machine whose memory finds no room is killed without a word.
    if (isFull(folder)) return workspaceFailure(`${folder}: No space left on device`);
    const said = (await readEnd(join(folder, "machine.log"), SAID_BYTES_MAX)).trim();
    return said === "" ? saved : workspaceFailure(`${saved.failure.message} (${said})`);
  } finally {
    await endMarkedProcesses(machineMarker(folder));
    const left = [...LEFT_BY_MACHINES, ...channelNames(frozen.shape)];
    for (const name of left) rmSync(join(folder, name), { force: true });
  }
}

const LEFT_BY_MACHINES: readonly string[] = [
  "disk.qcow2",
  "machine.log",
  "qmp",
  "saving",
  "incoming",
];

const RECEIVER = "receiver";

/** The system allows a socket's path a hundred characters: a link in its own folder stands for them. */
function pointTo({ folder }: VmLayout, target: string): void {
  rmSync(join(folder, RECEIVER), { force: true });
  symlinkSync(target, join(folder, RECEIVER));
}

/** Holds the machine no longer than its memory takes to be copied. */
async function sendTo(order: FreezeOrder, receiver: Monitor): Promise<Result<void>> {
  const waiting = await receiver.execute("migrate-incoming", { uri: "unix:incoming" });
  if (!waiting.ok) return waiting;
  const { machine, places, layout, frozen } = order;
  const made = await freezeDisk(places, {
    disk: layout.disk,
    diskMb: frozen.shape.diskMb,
    overlay: frozen.overlayPath,
  });
  if (!made.ok) return made;
  pointTo(layout, order.folder);
  return machine.withMonitor(async (monitor) => {
    const whole = await setIgnoreShared(monitor, false);
    if (!whole.ok) return whole;
    const stopped = await monitor.execute("stop");
    if (!stopped.ok) return stopped;
    crashPoint("snapshot.held");
    try {
      const switched = await switchDisk(machine, monitor, basename(made.value.next));
      if (!switched.ok) return switched;
      crashPoint("snapshot.switched");
      const sent = await sendState(monitor, `unix:${RECEIVER}/incoming`);
      crashPoint("snapshot.sent");
      return sent.ok ? await awaitState(receiver) : sent;
    } finally {
      const goesOn = await monitor.execute("cont");
      if (!goesOn.ok) machine.log(`it did not go on: ${goesOn.failure.message}`);
    }
  });
}

/** From here on the machine writes to a new disk, and what it had is a layer. */
async function switchDisk(
  machine: VmMachine,
  monitor: Monitor,
  next: string,
): Promise<Result<void>> {
  const switched = await monitor.execute("blockdev-snapshot-sync", {
    "device": "disk",
    "snapshot-file": next,
    "format": "qcow2",
    "mode": "existing",
  });
  if (switched.ok) machine.takeDisk(next);
  return nothingOf(switched);
}

const SAID_BYTES_MAX = 1_000;
const DONE = { ok: true, value: undefined } as const;
