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
}

export function homeAt(root: string): SandboxHome {
  return {
    root,
    workspaces: join(root, "workspaces"),
    layers: join(root, "layers"),
    snapshots: join(root, "snapshots"),
    lock: join(root, "layers.lock"),
  };
}

/** One sandbox on the host. Nothing here but `upper` can be written to from inside. */
export interface SandboxLayout {
  readonly folder: string;
  /** The only layer of its own: what was written since the last snapshot. */
  readonly upper: string;
  /** The overlay's scratch folder. */
  readonly work: string;
  /** Its own small files of `/etc`. */
  readonly etc: string;
  /** What a clone is made of: configuration, private excludes, the list of borrowed objects. */
  readonly seed: string;
  /** Mount table for its start. */
  readonly mounts: string;
  /** Bundles that were brought out. */
  readonly outbox: string;
  /** What it is, written before anything is made. */
  readonly record: string;
  /** Written last: a sandbox without it is half made. */
  readonly ready: string;
  /** Who holds its namespaces, while it runs. */
  readonly running: string;
  /** What its start complained of. */
  readonly log: string;
}

export function sandboxAt(home: SandboxHome, id: string): SandboxLayout {
  const folder = join(home.workspaces, id);
  return {
    folder,
    upper: join(folder, "upper"),
    work: join(folder, "work"),
    etc: join(folder, "etc"),
    seed: join(folder, "seed"),
    mounts: join(folder, "mounts"),
    outbox: join(folder, "outbox"),
    record: join(folder, "record.json"),
    ready: join(folder, "ready"),
    running: join(folder, "running.json"),
    log: join(folder, "runtime.log"),
  };
}
