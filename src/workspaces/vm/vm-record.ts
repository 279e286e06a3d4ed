import { join } from "node:path";
import { z } from "zod";
import { readJson, writeJson } from "../json-file.ts";
import { isWorkspaceId } from "../local-layout.ts";
import { seedSchema } from "../local-record.ts";
import { codeOf } from "../workspace-failure.ts";

export const shapeSchema = z.object({
  memoryMb: z.number(),
  processors: z.number(),
  diskMb: z.number(),
  network: z.enum(["none", "allow", "cut"]),
  /** Machines of before this was written down have four. */
  channels: z.int().default(4),
  accelerator: z.enum(["kvm", "tcg"]),
});

/** What a workspace and a snapshot of it have in common. */
export const characterSchema = z.object({
  seed: seedSchema.nullable(),
  variables: z.record(z.string(), z.string()),
  /** Name of the image that it starts with. */
  image: z.string(),
  pids: z.number(),
  cpus: z.number(),
  shape: shapeSchema,
});

const recordSchema = characterSchema.extend({
  version: z.literal(2),
  /**
   * `making` before anything else is there, `removing` before anything is taken away. `starting`,
   * `restarting` and `stopping` are what somebody with the workspace's lock is doing, or was when
   * they were killed: see `SETTLED`.
   */
  state: z.enum([
    "making",
    "running",
    "stopped",
    "restoring",
    "removing",
    "starting",
    "restarting",
    "stopping",
  ]),
  createdAt: z.string(),
  machineId: z.string(),
  /** The snapshot that it was forked from. */
  forkedFrom: z.string().nullable(),
  /** The snapshot that its state follows on; what is referenced cannot be deleted. */
  standsOn: z.string().nullable(),
  /** Its machine is held for a snapshot; with a dead holder, whoever comes next lets it go on. */
  isHeld: z.boolean(),
});

const machineSchema = z.object({ pid: z.int(), identity: z.string() });

export type VmCharacter = z.infer<typeof characterSchema>;

/** What a later process must know of a workspace. */
export type VmRecord = z.infer<typeof recordSchema>;

/** The process that a machine is, named for good. */
type MachineProcess = z.infer<typeof machineSchema>;

export interface VmLayout {
  readonly folder: string;
  readonly record: string;
  readonly machine: string;
  readonly disk: string;
  /** Bundles that came out. */
  readonly outbox: string;
  /** What happened to it, and what QEMU complained of. */
  readonly log: string;
  /** What the guest wrote to its console, the end of it. */
  readonly console: string;
  /** Held by who changes the workspace. */
  readonly lock: string;
}

/** `null` for what cannot be an id. */
export function vmLayout(root: string, id: string): VmLayout | null {
  if (!isWorkspaceId(id)) return null;
  const folder = join(root, id);
  return {
    folder,
    record: join(folder, "workspace.json"),
    machine: join(folder, "machine.json"),
    disk: join(folder, "disk.qcow2"),
    outbox: join(folder, "outbox"),
    log: join(folder, "machine.log"),
    console: join(folder, "console"),
    lock: join(folder, "lock"),
  };
}

export function writeRecord(layout: VmLayout, record: VmRecord): void {
  writeJson(layout.record, record);
}

/** So that nobody finds what is half removed. */
export function markRemoving(layout: VmLayout): void {
  const record = readRecord(layout);
  if (record !== null) writeRecordIfRoom(layout, { ...record, state: "removing" });
}

/** For what does no harm where it stays as it was: a disk without room is a reason to go on. */
export function writeRecordIfRoom(layout: VmLayout, record: VmRecord): void {
  try {
    writeRecord(layout, record);
  } catch (error) {
    if (!["ENOSPC", "EDQUOT"].includes(codeOf(error))) throw error;
  }
}

export function writeMachine(layout: VmLayout, { pid, identity }: MachineProcess): void {
  writeJson(layout.machine, { pid, identity });
}

/** `null` where there is none, or none of this version. */
export function readRecord(layout: VmLayout): VmRecord | null {
  return readJson(layout.record, recordSchema);
}

export function readMachine(layout: VmLayout): MachineProcess | null {
  return readJson(layout.machine, machineSchema);
}

/**
 * What a workspace is, where whoever changed it was killed on the way and what they left was ended.
 * One that was `restarting` had ended under its workspace: the next command starts it again.
 */
const SETTLED: Partial<Record<VmRecord["state"], "running" | "stopped">> = {
  starting: "stopped",
  restarting: "running",
  stopping: "stopped",
};

/** What a record becomes that is between two states; `null` where it is in one. */
export function settledState({ state }: VmRecord): "running" | "stopped" | null {
  return SETTLED[state] ?? null;
}

/** Made all of it, and not being removed. */
export function isWhole(record: VmRecord | null): record is VmRecord {
  return record !== null && record.state !== "making" && record.state !== "removing";
}

/** Those parts of a record that a snapshot keeps and gives to forks. */
export function characterOf({
  seed,
  variables,
  image,
  pids,
  cpus,
  shape,
}: VmCharacter): VmCharacter {
  return { seed, variables, image, pids, cpus, shape };
}
