import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { codeOf } from "../workspace-failure.ts";
import { exists } from "../local-layout.ts";
import type { SandboxLayout } from "./layout.ts";

const seedSchema = z.object({
  gitDir: z.string(),
  objectFormat: z.enum(["sha1", "sha256"]),
  commit: z.string(),
  branch: z.string(),
});

const limit = z.number().optional();

const recordSchema = z.object({
  version: z.literal(1),
  /** RFC 3339. */
  createdAt: z.string(),
  seed: seedSchema.nullable(),
  /** Layers below its own, the lowest last: names of folders. */
  layers: z.array(z.string()),
  network: z.enum(["none", "allow"]),
  limits: z.object({ cpus: limit, memoryMb: limit, diskMb: limit, pids: limit }),
  hostname: z.string(),
  machineId: z.string(),
  /** The snapshot that it stands on. */
  forkedFrom: z.string().nullable(),
});

/** What a later process must know of a sandbox. */
export type SandboxRecord = z.infer<typeof recordSchema>;

const runningSchema = z.object({
  /** The first process inside, and the one outside that waits for it, as the host counts them. */
  initPid: z.int().positive(),
  initIdentity: z.string(),
  monitorPid: z.int().positive(),
  /** Whether it has a network namespace of its own; another's must not be entered without root. */
  isOffline: z.boolean(),
});

/** Who holds a sandbox's namespaces. */
export type RunningRecord = z.infer<typeof runningSchema>;

export function writeRecord(layout: SandboxLayout, record: SandboxRecord): void {
  replace(layout.record, record);
}

/** `null` where it is missing or not of this version. */
export function readRecord(layout: SandboxLayout): SandboxRecord | null {
  return read(layout.record, recordSchema);
}

export function markReady(layout: SandboxLayout): void {
  writeFileSync(layout.ready, "");
}

/** `null` also for a sandbox that is half made. */
export function readReady(layout: SandboxLayout): SandboxRecord | null {
  return exists(layout.ready) ? readRecord(layout) : null;
}

export function writeRunning(layout: SandboxLayout, running: RunningRecord): void {
  replace(layout.running, running);
}

export function readRunning(layout: SandboxLayout): RunningRecord | null {
  return read(layout.running, runningSchema);
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
  /** Its own layer first, then those below. */
  layers: z.tuple([z.string()], z.string()),
});

/** A snapshot, from before its layer is frozen. */
export type SnapshotRecord = z.infer<typeof snapshotSchema>;

export function writeSnapshot(path: string, snapshot: SnapshotRecord): void {
  replace(path, snapshot);
}

export function readSnapshot(path: string): SnapshotRecord | null {
  return read(path, snapshotSchema);
}

function replace(path: string, value: unknown): void {
  const unfinished = `${path}.new`;
  writeFileSync(unfinished, `${JSON.stringify(value)}\n`);
  renameSync(unfinished, path);
}

function read<T>(path: string, schema: z.ZodType<T>): T | null {
  try {
    return schema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    const isExpected = codeOf(error) !== "" || error instanceof SyntaxError;
    if (isExpected || error instanceof z.ZodError) return null;
    throw error;
  }
}
