import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../../lib/atomic-file.ts";
import { isWorkspaceId } from "../local-layout.ts";
import { codeOf } from "../workspace-failure.ts";

const seedSchema = z.object({
  gitDir: z.string(),
  objectFormat: z.enum(["sha1", "sha256"]),
  commit: z.string(),
  branch: z.string(),
});

const recordSchema = z.object({
  version: z.literal(1),
  /** Intended before it is done: `making` becomes `ready` once everything is there. */
  state: z.enum(["making", "ready"]),
  seed: seedSchema,
  createdAt: z.string(),
  machineId: z.string(),
  image: z.string(),
  pids: z.number(),
  cpus: z.number(),
  shape: z.object({
    memoryMb: z.number(),
    processors: z.number(),
    diskMb: z.number(),
    network: z.enum(["none", "allow"]),
    accelerator: z.enum(["kvm", "tcg"]),
  }),
});

const machineSchema = z.object({ pid: z.int(), identity: z.string() });

/** What a later process must know of a workspace. */
export type VmRecord = z.infer<typeof recordSchema>;

/** The process that a machine is, named for good. */
export type MachineProcess = z.infer<typeof machineSchema>;

export interface VmLayout {
  readonly folder: string;
  readonly record: string;
  readonly machine: string;
  readonly disk: string;
  /** Bundles that came out. */
  readonly outbox: string;
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
  };
}

export function writeRecord(layout: VmLayout, record: VmRecord): Promise<void> {
  return writeFileAtomically(layout.record, `${JSON.stringify(record)}\n`);
}

export function writeMachine(layout: VmLayout, { pid, identity }: MachineProcess): Promise<void> {
  return writeFileAtomically(layout.machine, `${JSON.stringify({ pid, identity })}\n`);
}

/** `null` where there is none, or none of this version. */
export function readRecord(layout: VmLayout): VmRecord | null {
  return readParsed(layout.record, recordSchema);
}

export function readMachine(layout: VmLayout): MachineProcess | null {
  return readParsed(layout.machine, machineSchema);
}

function readParsed<T>(file: string, schema: z.ZodType<T>): T | null {
  try {
    return schema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    const isExpected = codeOf(error) !== "" || error instanceof SyntaxError;
    if (isExpected || error instanceof z.ZodError) return null;
    throw error;
  }
}
