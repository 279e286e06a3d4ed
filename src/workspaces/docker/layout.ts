import { createHash } from "node:crypto";

/** Where things are in a container; the same in each. */
export const GUEST = {
  /** Nothing outside of these is reached by the paths of files and commands; parted by colons. */
  roots: "/workspace:/home/worker",
  repository: "/workspace",
  home: "/home/worker",
  context: "/home/worker/context",
  temporary: "/home/worker/tmp",
  uid: 1000,
  gid: 1000,
  user: "worker",
} as const;

export const LABELS = {
  home: "mycelium.home",
  workspace: "mycelium.workspace",
  /** Made up for each container and each snapshot: by it one knows one's own after a lost answer. */
  mark: "mycelium.mark",
  /** The rest is for snapshots. */
  snapshot: "mycelium.snapshot",
  parent: "mycelium.snapshot.parent",
  createdAt: "mycelium.snapshot.created-at",
  /** Base64url, because it is anything. */
  variables: "mycelium.snapshot.variables",
} as const;

/** One a workspace and a home, so that the engine itself refuses a second. */
export function containerName(home: string, id: string): string {
  return `mycelium-${hashOf(home).slice(0, 8)}-${id}`;
}

/** Its own for each snapshot of a home. */
export function snapshotImage(home: string, snapshot: string): string {
  return `mycelium/snapshot:${hashOf(`${home}\0${snapshot}`).slice(0, 32)}`;
}

/** A host name as the network's rules want it: at most 63 small letters, digits and dashes. */
export function hostnameOf(id: string): string {
  const plain = id
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 54);
  const clean = plain.replaceAll(/^-+|-+$/g, "");
  return clean === id ? clean : `${clean}-${hashOf(id).slice(0, 8)}`;
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
