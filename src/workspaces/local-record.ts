import { z } from "zod";
import type { LocalLayout } from "./local-layout.ts";
import { readJson, writeJson } from "./json-file.ts";

export const seedSchema = z.object({
  gitDir: z.string(),
  objectFormat: z.enum(["sha1", "sha256"]),
  commit: z.string(),
  branch: z.string(),
});

/** Where a workspace's clone began; its objects are borrowed from there. */
export type SeedRecord = z.infer<typeof seedSchema>;

const recordSchema = z.object({
  version: z.literal(2),
  /** `making` before anything else is there, `removing` before anything is taken away. */
  state: z.enum(["making", "running", "stopped", "restoring", "removing"]),
  seed: seedSchema.nullable(),
  createdAt: z.string(),
  /** The snapshot that it was forked from. */
  forkedFrom: z.string().nullable(),
  /** The snapshot that its state follows on; what is referenced cannot be deleted. */
  standsOn: z.string().nullable(),
  variables: z.record(z.string(), z.string()),
  ports: z.array(z.int()),
});

/** What a later process must know of a workspace, beside where it is. */
export type LocalRecord = z.infer<typeof recordSchema>;

export function newRecord(
  values: Partial<LocalRecord> & Pick<LocalRecord, "seed" | "createdAt">,
): LocalRecord {
  const empty = { forkedFrom: null, standsOn: null, variables: {}, ports: [] };
  return { version: 2, state: "making", ...empty, ...values };
}

/** Replaces the record in one step. Synchronous: it is small, and comes before every act. */
export function writeRecord(layout: LocalLayout, record: LocalRecord): void {
  writeJson(layout.record, record);
}

/** `null` where there is none that this version understands. */
export function readRecord(layout: LocalLayout): LocalRecord | null {
  return readJson(layout.record, recordSchema);
}

/** Made all of it, and not being removed. */
export function isWhole(record: LocalRecord | null): record is LocalRecord {
  return record !== null && record.state !== "making" && record.state !== "removing";
}
