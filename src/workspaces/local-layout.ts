import { lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";

/** Ids become folder names and stand in environments and messages. */
const ID = /^[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.|$)){0,199}$/;

/** In words, for refusals. */
export const ID_RULE =
  "up to 200 letters, digits, '-', '_' and single '.', beginning with a letter or digit";

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
  /** Of background commands: one folder each. */
  readonly jobs: string;
  /** Where a snapshot is copied to before it takes the place of what is there. */
  readonly incoming: string;
  /** What happened to it, a line each. */
  readonly log: string;
  /** See `local-record.ts`. */
  readonly record: string;
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
    jobs: join(folder, "jobs"),
    incoming: join(folder, "incoming"),
    log: join(folder, "log"),
    record: join(folder, "record.json"),
  };
}

/** Those of its folders that are missing. */
export function makeFolders({ repository, context, temporary, outbox }: LocalLayout): void {
  for (const folder of [repository, context, temporary, outbox]) {
    mkdirSync(folder, { recursive: true });
  }
}

export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * Stands in the environment of every process of the workspace, and of no other workspace on the
 * machine: ids alone are the same in the homes of two Mycelia.
 */
export function processMarker(layout: LocalLayout): string {
  return `MYCELIUM_WORKSPACE_DIR=${layout.folder}`;
}

/** By this a process knows its workspace, and is known as its own; no request can change it. */
export function identityOf(id: string, layout: LocalLayout): Record<string, string> {
  return { MYCELIUM_WORKSPACE_ID: id, MYCELIUM_WORKSPACE_DIR: layout.folder };
}
