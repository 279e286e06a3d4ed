import { z } from "zod";
import { readJson, writeJson } from "../json-file.ts";
import { seedSchema } from "../local-record.ts";
import type { WorkspaceLimits } from "../workspace.ts";
import type { SandboxLayout } from "./layout.ts";

const limit = z.number().optional();

const limitsSchema = z.object({ cpus: limit, memoryMb: limit, diskMb: limit, pids: limit });
const networkSchema = z.enum(["none", "allow"]);
const variablesSchema = z.record(z.string(), z.string());

const recordSchema = z.object({
  version: z.literal(2),
  /** `making` before anything else is there, `removing` before anything is taken away. */
  state: z.enum(["making", "ready", "removing"]),
  /** What its owner asked for; it may have been ended by something else all the same. */
  wanted: z.enum(["running", "stopped"]),
  /** RFC 3339. */
  createdAt: z.string(),
  seed: seedSchema.nullable(),
  /** Layers below its own, the lowest last: names of folders. */
  layers: z.array(z.string()),
  /** Names its own layer: another one takes its place when it is frozen or given up. */
  generation: z.string(),
  network: networkSchema,
  limits: limitsSchema,
  hostname: z.string(),
  machineId: z.string(),
  /** The snapshot that it was forked from. */
  forkedFrom: z.string().nullable(),
  /** The snapshot that its state follows on; what is referenced cannot be deleted. */
  standsOn: z.string().nullable(),
  variables: variablesSchema,
});

/** What a later process must know of a sandbox. */
export type SandboxRecord = z.infer<typeof recordSchema>;

/** Threads and processes that a sandbox may have where nobody says. */
const PIDS_DEFAULT = 4096;

/** The limits that hold for it. */
export function limitsOf(record: SandboxRecord): WorkspaceLimits {
  return { pids: PIDS_DEFAULT, ...record.limits };
}

const runningSchema = z.object({
  /** The first process inside, and the one outside that waits for it, as the host counts them. */
  initPid: z.int().positive(),
  initIdentity: z.string(),
  monitorPid: z.int().positive(),
  monitorIdentity: z.string(),
  /** Whether it has a network namespace of its own; another's must not be entered without root. */
  isOffline: z.boolean(),
});

/** Who holds a sandbox's namespaces. */
export type RunningRecord = z.infer<typeof runningSchema>;

export function writeRecord(layout: SandboxLayout, record: SandboxRecord): void {
  writeJson(layout.record, record);
}

/** `null` where it is missing or not of this version. */
export function readRecord(layout: SandboxLayout): SandboxRecord | null {
  return readJson(layout.record, recordSchema);
}

/** Made all of it, and not being removed; `null` where it is not. */
export function readWhole(layout: SandboxLayout): SandboxRecord | null {
  const record = readRecord(layout);
  return record?.state === "ready" ? record : null;
}

export function writeRunning(layout: SandboxLayout, running: RunningRecord): void {
  writeJson(layout.running, running);
}

export function readRunning(layout: SandboxLayout): RunningRecord | null {
  return readJson(layout.running, runningSchema);
}

const snapshotSchema = z.object({
  version: z.literal(1),
  id: z.string(),
  name: z.string(),
  workspace: z.string(),
  parent: z.string().nullable(),
  /** RFC 3339. */
  createdAt: z.string(),
  seed: seedSchema.nullable(),
  /** The own layer of its workspace that it froze; `null` where it took a copy. */
  generation: z.string().nullable(),
  /** Its own layer first, then those below. */
  layers: z.tuple([z.string()], z.string()),
  /** What its forks get where they ask for nothing else. */
  network: networkSchema,
  limits: limitsSchema,
  variables: variablesSchema,
});

/** A snapshot, from before its layer is frozen. */
export type SnapshotRecord = z.infer<typeof snapshotSchema>;

export function writeSnapshot(path: string, snapshot: SnapshotRecord): void {
  writeJson(path, snapshot);
}

export function readSnapshot(path: string): SnapshotRecord | null {
  return readJson(path, snapshotSchema);
}
