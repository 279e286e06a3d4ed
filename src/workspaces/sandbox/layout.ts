import { join } from "node:path";

/** Where things are in every sandbox, as its commands see them. */
export const INSIDE = {
  repository: "/workspace",
  context: "/run/mycelium",
  home: "/home/agent",
  temporary: "/tmp",
  /** Read-only: the objects that the clone borrows, and what a clone is made of. */
  seed: "/run/seed",
} as const;

/** Whoever runs commands in a sandbox. Outside it is an unprivileged user. */
export const INSIDE_UID = 1000;

/** The folders of all sandboxes of one home. */
export interface SandboxHome {
  readonly root: string;
  /** A folder a workspace. */
  readonly workspaces: string;
  /** Read-only layers that workspaces stand on, each a whole tree of the folders in `INSIDE`. */
  readonly layers: string;
  /** A file a snapshot. */
  readonly snapshots: string;
  /** Held while layers that nobody stands on are removed. */
  readonly lock: string;
  /** Held while somebody begins to stand on a snapshot, or removes one. */
  readonly snapshotLock: string;
}

export function homeAt(root: string): SandboxHome {
  return {
    root,
    workspaces: join(root, "workspaces"),
    layers: join(root, "layers"),
    snapshots: join(root, "snapshots"),
    lock: join(root, "layers.lock"),
    snapshotLock: join(root, "snapshots.lock"),
  };
}

/** One sandbox on the host. Nothing here but its own layer can be written to from inside. */
export interface SandboxLayout {
  readonly folder: string;
  /** What a clone is made of: configuration, private excludes, the list of borrowed objects. */
  readonly seed: string;
  /** Bundles that were brought out. */
  readonly outbox: string;
  /** What it is, written before anything is made. */
  readonly record: string;
  /** Who holds its namespaces, while it runs. */
  readonly running: string;
  /** What its last start complained of. */
  readonly complaints: string;
  /** What happened to it, a line each. */
  readonly log: string;
  /** Of background commands: one folder each. */
  readonly jobs: string;
  /** Says that a snapshot holds its processes. */
  readonly held: string;
  /** Held by whoever changes it. */
  readonly lock: string;
}

/** The only layer of a sandbox's own: what was written since its last snapshot. */
export interface OwnLayer {
  readonly upper: string;
  /** The overlay's scratch folder. */
  readonly work: string;
}

const OWN_LAYER = /^(?:upper|work)-/;

export function ownLayer({ folder }: Pick<SandboxLayout, "folder">, generation: string): OwnLayer {
  return { upper: join(folder, `upper-${generation}`), work: join(folder, `work-${generation}`) };
}

/** Whether a name in a sandbox's folder is that of an own layer, of any generation. */
export function isOwnLayer(name: string): boolean {
  return OWN_LAYER.test(name);
}

export function sandboxAt(home: SandboxHome, id: string): SandboxLayout {
  const folder = join(home.workspaces, id);
  return {
    folder,
    seed: join(folder, "seed"),
    outbox: join(folder, "outbox"),
    record: join(folder, "record.json"),
    running: join(folder, "running.json"),
    complaints: join(folder, "runtime.log"),
    log: join(folder, "log"),
    jobs: join(folder, "jobs"),
    held: join(folder, "held"),
    lock: join(folder, "lock"),
  };
}
