import { dirname } from "node:path/posix";
import { stageDevices } from "./devices.ts";
import { stageEtc, stageTools } from "./host-view.ts";
import { INSIDE } from "./layout.ts";
import { outsideUser } from "./outside-user.ts";
import { bind, memory, overlay, type StageStep } from "./stage-program.ts";

/**
 * A start happens in a mount namespace of its own, where this folder is covered by an empty one that
 * holds what the sandbox is put together from. Nothing of it is mounted for anyone else, so nothing
 * is left when the last process is gone.
 */
const STAGE = "/run";
/** Short, because the kernel takes a page of options, and all layers stand in it. */
const HOME = `${STAGE}/h`;

/** Where on the stage bubblewrap finds what the sandbox sees. */
export const STAGED = {
  /** All that is read-only, with places for the rest. */
  root: `${STAGE}/root`,
  devices: `${STAGE}/dev`,
  /** All that may be written to. */
  tree: `${STAGE}/tree`,
} as const;

/** How the tree of folders that a sandbox writes to comes to be. Paths are below the home's root. */
export type Tree =
  | {
      readonly kind: "layers";
      /** The uppermost first. */
      readonly lower: readonly [string, ...string[]];
      readonly upper: string;
      readonly work: string;
    }
  | { readonly kind: "folder"; readonly path: string };

export interface StageRequest {
  /** The root of the home of all sandboxes. */
  readonly root: string;
  readonly tree: Tree;
  readonly hostname: string;
  readonly machineId: string;
  /** Below the root; `null` where there is no seed. */
  readonly seedFiles: string | null;
  /** Folders of objects on the host, shown read-only as `/run/seed/objects/0` and so on. */
  readonly objects: readonly string[];
}

/** What is done before bubblewrap starts, which then needs few mounts of its own. */
export function stageSteps(request: StageRequest): readonly StageStep[] {
  const { root, tree, seedFiles, objects } = request;
  const inside = (path: string): string => `${STAGED.root}${path}`;
  const places = [
    INSIDE.repository,
    INSIDE.context,
    INSIDE.home,
    INSIDE.temporary,
    "/proc",
    "/dev",
  ];
  const shown = (from: string, to: string): readonly StageStep[] => [
    ...foldersTo(to),
    bind(from, inside(to)),
  ];
  // Their own folder is all that the sandbox's user may look into: those above it may be private.
  const seed =
    seedFiles === null
      ? []
      : [
          ...shown(`${root}/${seedFiles}`, `${INSIDE.seed}/files`),
          ...objects.flatMap((path, index) => shown(path, `${INSIDE.seed}/objects/${index}`)),
        ];
  return [
    memory(STAGE, "mode=755,size=2m"),
    ["folder", STAGED.root],
    ["folder", STAGED.tree],
    ...stageTree(root, tree),
    ...stageTools(STAGED.root),
    ...stageEtc(STAGED.root, request),
    ...stageDevices(STAGED.devices),
    ...places.flatMap(foldersTo),
    ...seed,
  ];
}

function stageTree(root: string, tree: Tree): readonly StageStep[] {
  if (tree.kind === "folder") return [bind(`${root}/${tree.path}`, STAGED.tree)];
  const lower = tree.lower.map((path) => `${HOME}/${path}`).join(":");
  const attributes = outsideUser().isRoot ? "" : ",userxattr";
  const options = `lowerdir=${lower},upperdir=${HOME}/${tree.upper},workdir=${HOME}/${tree.work}`;
  return [["folder", HOME], bind(root, HOME), overlay(STAGED.tree, `${options}${attributes}`)];
}

/** Those above a place inside, and itself. */
function foldersTo(path: string): readonly StageStep[] {
  if (path === "/") return [];
  return [...foldersTo(dirname(path)), ["folder", `${STAGED.root}${path}`]];
}
