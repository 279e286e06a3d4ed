import { randomBytes } from "node:crypto";
import { mkdirSync, realpathSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { resolve } from "node:path";
import type { Result } from "../domain/failure.ts";
import { systemClock, timestamp } from "../lib/clock.ts";
import { isRefName } from "../git/ref-name.ts";
import { exists, isWorkspaceId } from "./local-layout.ts";
import { removeFolder } from "./remove-folder.ts";
import {
  baseLayerName,
  ensureBaseLayer,
  writeBranch,
  writeSeedFiles,
} from "./sandbox/base-layer.ts";
import { writeEtc } from "./sandbox/host-view.ts";
import { homeAt, sandboxAt, type SandboxHome, type SandboxLayout } from "./sandbox/layout.ts";
import { removeUnusedLayers } from "./sandbox/layers.ts";
import { giveAway, giveAwayTree } from "./sandbox/outside-user.ts";
import { probeSandbox } from "./sandbox/probe.ts";
import { markReady, readReady, writeRecord, type SandboxRecord } from "./sandbox/record.ts";
import { cgroupsOf, endSandbox, type SandboxPlace } from "./sandbox/runtime.ts";
import { SandboxWorkspace, type SandboxTimeouts } from "./sandbox/sandbox-workspace.ts";
import {
  deleteSandboxSnapshot,
  findSnapshot,
  listSandboxSnapshots,
  snapshotSandbox,
} from "./sandbox/snapshots.ts";
import type { ForkRequest, Snapshot } from "./lasting-workspace.ts";
import type { Workspace, WorkspaceProvider, WorkspaceRequest, WorkspaceSeed } from "./workspace.ts";
import { codeOf, workspaceFailure } from "./workspace-failure.ts";

export interface SandboxProviderOptions {
  /** Holds all sandboxes and the layers they share; made where it is missing. */
  readonly root: string;
  readonly timeouts?: Partial<SandboxTimeouts>;
}

const TIMEOUTS: SandboxTimeouts = {
  checkoutTimeoutMs: 300_000,
  collectTimeoutMs: 120_000,
  filesTimeoutMs: 60_000,
  removeTimeoutMs: 300_000,
  bundleBytesMax: 2 * 1024 * 1024 * 1024,
  outputBytesMax: 65_536,
};

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Sandboxes can be frozen and forked, each in the same time whatever is in them. */
export interface SandboxProvider extends WorkspaceProvider {
  /** Refused while something runs in it. */
  snapshot(id: string, name: string): Promise<Result<Snapshot>>;
  listSnapshots(): Promise<readonly Snapshot[]>;
  /** Refused while anything stands on it. */
  deleteSnapshot(id: string): Promise<Result<void>>;
  /** In parallel, one answer a request, in order; the others stay where one fails. */
  fork(snapshot: string, forks: readonly ForkRequest[]): Promise<readonly Result<Workspace>[]>;
}

/** Workspaces of namespaces and overlays: no daemon, no image, and root where it is at hand. */
export function createSandboxProvider(options: SandboxProviderOptions): SandboxProvider {
  const timeouts = { ...TIMEOUTS, ...options.timeouts };
  const locate = (id: string): SandboxPlace | null => {
    if (!isWorkspaceId(id)) return null;
    const home = homeAt(withoutLinks(options.root));
    return { home, id, layout: sandboxAt(home, id) };
  };
  return {
    kind: "sandbox",
    isolation:
      "commands run as an unprivileged user in namespaces of their own: they see the host's tools " +
      "read-only and nothing else of it, and share its kernel",

    probe: () => probeSandbox(),

    create: (request) => createSandbox(request, options.root, timeouts),
    find: async ({ id, env }) => {
      const place = locate(id);
      const record = place === null ? null : readReady(place.layout);
      if (place === null || record === null) return null;
      return new SandboxWorkspace({ place, record, env, timeouts });
    },
    list: () => listFolders(homeAt(options.root)),
    endLeftovers: async (id) => {
      const place = locate(id);
      return place === null || !exists(place.layout.folder) ? 0 : endSandbox(place.layout);
    },
    remove: async (id) => {
      const place = locate(id);
      if (place === null || !exists(place.layout.folder)) return;
      await removeSandbox(place, timeouts);
    },
    snapshot: async (id, name) => {
      const place = locate(id);
      if (place === null || readReady(place.layout) === null) {
        return workspaceFailure(`there is no workspace ${id}`);
      }
      return snapshotSandbox(place, name);
    },
    listSnapshots: async () => listSandboxSnapshots(homeAt(options.root)),
    deleteSnapshot: (id) =>
      deleteSandboxSnapshot(homeAt(options.root), id, timeouts.removeTimeoutMs),
    fork: async (id, forks) => {
      const snapshot = findSnapshot(homeAt(options.root), id);
      return Promise.all(
        forks.map(async (fork) => {
          if (snapshot === null) return workspaceFailure(`there is no snapshot ${id}`);
          const { seed, layers } = snapshot;
          const plan = { request: fork, seed, layers, forkedFrom: id };
          return makeSandbox(plan, options.root, timeouts);
        }),
      );
    },
  };
}

function withoutLinks(root: string): string {
  return exists(root) ? realpathSync(root) : resolve(root);
}

async function removeSandbox(place: SandboxPlace, timeouts: SandboxTimeouts): Promise<void> {
  await endSandbox(place.layout);
  await cgroupsOf(place.layout, null).remove();
  await removeFolder(place.layout.folder, timeouts.removeTimeoutMs);
  await removeUnusedLayers(place.home, timeouts.removeTimeoutMs);
}

async function createSandbox(
  request: WorkspaceRequest,
  root: string,
  timeouts: SandboxTimeouts,
): Promise<Result<Workspace>> {
  const { seed } = request;
  if (!isRefName(`refs/heads/${seed.branch}`)) {
    return workspaceFailure(`"${seed.branch}" is not a name for a branch`);
  }
  if (!COMMIT.test(seed.commit)) return workspaceFailure(`"${seed.commit}" is not a commit's id`);
  const plan = { request, seed, layers: [baseLayerName(seed)], forkedFrom: null };
  return makeSandbox(plan, root, timeouts, async (place) => {
    const based = await ensureBaseLayer(place.home, seed, timeouts.checkoutTimeoutMs);
    if (!based.ok) return based;
    writeBranch(place.layout.upper, seed);
    giveAwayTree([`${place.layout.upper}/repository`]);
    return based;
  });
}

interface Plan {
  readonly request: ForkRequest;
  readonly seed: WorkspaceSeed | null;
  readonly layers: readonly string[];
  readonly forkedFrom: string | null;
}

/** All of a sandbox or nothing of it, unless this process dies on the way. */
async function makeSandbox(
  plan: Plan,
  root: string,
  timeouts: SandboxTimeouts,
  prepare?: (place: SandboxPlace) => Promise<Result<void>>,
): Promise<Result<SandboxWorkspace>> {
  const { id, env } = plan.request;
  if (!isWorkspaceId(id)) return workspaceFailure(`"${id}" cannot be the id of a workspace`);
  const claimed = await orFailure(id, async () => ({ ok: true, value: claim(root, id) }));
  if (!claimed.ok) return claimed;
  const place = claimed.value;
  const made = await orFailure(id, async () => {
    const record = recordOf(plan);
    writeRecord(place.layout, record);
    fill(place.layout, record);
    if (plan.seed !== null) writeSeedFiles(place.layout.seed, plan.seed);
    const prepared = await prepare?.(place);
    if (prepared?.ok === false) return prepared;
    const workspace = new SandboxWorkspace({ place, record, env, timeouts });
    const started = await workspace.start();
    if (!started.ok) return started;
    markReady(place.layout);
    return { ok: true, value: workspace };
  });
  if (!made.ok) await removeSandbox(place, timeouts);
  return made;
}

function claim(root: string, id: string): SandboxPlace {
  const unresolved = homeAt(root);
  mkdirSync(unresolved.workspaces, { recursive: true });
  mkdirSync(unresolved.layers, { recursive: true });
  const home = homeAt(withoutLinks(root));
  const layout = sandboxAt(home, id);
  mkdirSync(layout.folder);
  return { home, id, layout };
}

function recordOf({ request, seed, layers, forkedFrom }: Plan): SandboxRecord {
  const { id, limits, network } = request;
  return {
    version: 1,
    createdAt: timestamp(systemClock),
    seed,
    layers: [...layers],
    forkedFrom,
    network: network ?? "allow",
    limits: limits ?? {},
    hostname: hostnameOf(id),
    machineId: randomBytes(16).toString("hex"),
  };
}

/** At most 63 of small letters, digits and `-`. */
function hostnameOf(id: string): string {
  const slug = id
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  return slug.slice(0, 63).replace(/-+$/, "") || "sandbox";
}

/** The folders of its own. */
function fill(layout: SandboxLayout, record: SandboxRecord): void {
  for (const folder of [layout.upper, layout.work, layout.etc, layout.seed]) mkdirSync(folder);
  giveAway([layout.upper]);
  writeEtc(layout.etc, record);
}

/** Turns what the disk refuses into a failure; everything else that is thrown is a bug. */
async function orFailure<T>(id: string, act: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await act();
  } catch (error) {
    const code = codeOf(error);
    if (code === "") throw error;
    const hint = code === "EEXIST" ? { hint: "remove it first, or choose another id" } : {};
    return workspaceFailure(`cannot make workspace ${id}: ${String(error)}`, {
      cause: error,
      ...hint,
    });
  }
}

/** Half-made ones too: whoever lists them may want to remove them. */
async function listFolders(home: SandboxHome): Promise<readonly string[]> {
  try {
    const entries = await readdir(home.workspaces, { withFileTypes: true });
    return entries.flatMap((entry) =>
      entry.isDirectory() && isWorkspaceId(entry.name) ? entry.name : [],
    );
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}
