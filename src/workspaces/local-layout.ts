import { lstatSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { codeOf } from "./workspace-failure.ts";

/** Ids become folder names and stand in environments and messages. */
const ID = /^[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.|$)){0,199}$/;

export function isWorkspaceId(id: string): boolean {
  return ID.test(id);
}

/** The folders and files of one workspace. */
export interface LocalLayout {
  readonly folder: string;
  readonly repository: string;
  readonly context: string;
  /** `TMPDIR` of its commands. */
  readonly temporary: string;
  /** `HOME` of its commands where none is given. */
  readonly home: string;
  /** Bundles, and the repository that makes them: Mycelium's own, nothing of the worker's. */
  readonly outbox: string;
  /** Written last: a workspace without it is half made. */
  readonly ready: string;
}

export function layoutOf(root: string, id: string): LocalLayout {
  const folder = join(root, id);
  return {
    folder,
    repository: join(folder, "repository"),
    context: join(folder, "context"),
    temporary: join(folder, "tmp"),
    home: join(folder, "home"),
    outbox: join(folder, "outbox"),
    ready: join(folder, "ready"),
  };
}

const seedSchema = z.object({
  gitDir: z.string(),
  objectFormat: z.enum(["sha1", "sha256"]),
  commit: z.string(),
  branch: z.string(),
});

const recordSchema = z.object({ version: z.literal(1), seed: seedSchema });

/** What a later process must know of a workspace, beside where it is. */
export type SeedRecord = z.infer<typeof seedSchema>;

export function markReady(layout: LocalLayout, seed: SeedRecord): void {
  const unfinished = `${layout.ready}.new`;
  writeFileSync(unfinished, `${JSON.stringify({ version: 1, seed })}\n`);
  renameSync(unfinished, layout.ready);
}

/** `null` where the workspace is missing, half made, or not of this version. */
export function readReady(layout: LocalLayout): SeedRecord | null {
  try {
    return recordSchema.parse(JSON.parse(readFileSync(layout.ready, "utf8"))).seed;
  } catch (error) {
    const isExpected = codeOf(error) !== "" || error instanceof SyntaxError;
    if (isExpected || error instanceof z.ZodError) return null;
    throw error;
  }
}

export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
