import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../../lib/atomic-file.ts";
import { codeOf } from "../workspace-failure.ts";

const limitsSchema = z.object({
  cpus: z.number().optional(),
  memoryMb: z.number().optional(),
  diskMb: z.number().optional(),
  pids: z.number().optional(),
});

const recordSchema = z.object({
  version: z.literal(1),
  /**
   * `making` from before the container is made until it can be used; `restoring` from before it is
   * removed until there is another: whoever finds that finishes it; `removing` from before anything
   * is taken away.
   */
  state: z.enum(["making", "restoring", "ready", "removing"]),
  /** What its owner wants; the engine may have stopped it all the same. */
  wanted: z.enum(["running", "stopped"]),
  /** What `setEnv` set. */
  variables: z.record(z.string(), z.string()),
  /** The snapshot that its container was made from: by a fork, or by the last restore. */
  base: z.string().nullable(),
  /** The snapshot that it was forked from. */
  forkedFrom: z.string().nullable(),
  /** Where it is in the tree of snapshots: its base, or what was made of it last. */
  standsOn: z.string().nullable(),
  id: z.string(),
  image: z.string(),
  limits: limitsSchema,
  network: z.enum(["none", "allow"]),
  hostname: z.string(),
  createdAt: z.string(),
});

/** What a later process must know of a workspace. It lies beside nothing that a worker can reach. */
export type WorkspaceRecord = z.infer<typeof recordSchema>;

export async function writeRecord(folder: string, record: WorkspaceRecord): Promise<void> {
  await writeFileAtomically(recordPath(folder), `${JSON.stringify(record, null, 2)}\n`);
}

/** `null` where there is none, or none of this version. */
export function readRecord(folder: string): WorkspaceRecord | null {
  try {
    return recordSchema.parse(JSON.parse(readFileSync(recordPath(folder), "utf8")));
  } catch (error) {
    const isExpected = codeOf(error) !== "" || error instanceof SyntaxError;
    if (isExpected || error instanceof z.ZodError) return null;
    throw error;
  }
}

export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function recordPath(folder: string): string {
  return join(folder, "workspace.json");
}
