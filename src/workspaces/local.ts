import { mkdirSync, realpathSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Result } from "../domain/failure.ts";
import { systemClock, timestamp } from "../lib/clock.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { mapLimited } from "../lib/map-limited.ts";
import { endMarkedProcesses } from "../lib/process.ts";
import type { LastingProvider, LastingRequest } from "./lasting-workspace.ts";
import { makeClone } from "./local-clone.ts";
import { forkLocal } from "./local-fork.ts";
import { DEFAULT_PATH } from "./local-git.ts";
import { LastingLocalWorkspace } from "./local-lasting.ts";
import {
  exists,
  ID_RULE,
  identityOf,
  isWorkspaceId,
  layoutOf,
  processMarker,
} from "./local-layout.ts";
import { makeFolders, type LocalLayout } from "./local-layout.ts";
import { isWhole, newRecord, readRecord, writeRecord, type SeedRecord } from "./local-record.ts";
import { deleteLocalSnapshot, listLocalSnapshots } from "./local-snapshots.ts";
import type { SnapshotPlaces } from "./local-snapshots.ts";
import { commandEnvironment, LocalWorkspace, type LocalLimits } from "./local-workspace.ts";
import { removeFolder } from "./remove-folder.ts";
import { codeOf, failureWith, workspaceFailure } from "./workspace-failure.ts";

export interface LocalProviderOptions {
  /** Holds a folder a workspace; made where it is missing. */
  readonly root: string;
  /** Holds a folder a snapshot; beside `root` where it is left out. */
  readonly snapshots?: string;
  /** For Mycelium's own git: `PATH` is what counts. That of the workspace's commands by default. */
  readonly gitEnvironment?: Readonly<Record<string, string>>;
  readonly limits?: Partial<LocalLimits>;
}

const LIMITS: LocalLimits = {
  checkoutTimeoutMs: 300_000,
  collectTimeoutMs: 120_000,
  removeTimeoutMs: 300_000,
  bundleBytesMax: 2 * 1024 * 1024 * 1024,
  outputBytesMax: 65_536,
  jobOutputBytesMax: 1024 * 1024 * 1024,
};

/** Copies share one disk: more at once only wait for each other. */
const FORKS_AT_ONCE = 8;

/** Workspaces that are folders on this machine: `<root>/<id>/{repository,context,tmp,home,outbox}`. */
export function createLocalProvider(options: LocalProviderOptions): LastingProvider {
  const limits = { ...LIMITS, ...options.limits };
  const locate = (id: string): LocalLayout | null =>
    isWorkspaceId(id) ? layoutOf(withoutLinks(options.root), id) : null;
  const places = (): SnapshotPlaces => ({
    workspaces: withoutLinks(options.root),
    snapshots: withoutLinks(options.snapshots ?? join(options.root, "../snapshots")),
  });
  const open = ({ given, ...found }: Found): LastingLocalWorkspace => {
    const env = commandEnvironment(found.layout, given);
    const gitEnvironment = gitEnvironmentOf(given, options);
    const core = new LocalWorkspace({ ...found, env, gitEnvironment, limits });
    const { jobOutputBytesMax } = limits;
    return new LastingLocalWorkspace({ ...found, core, places: places(), env, jobOutputBytesMax });
  };
  return {
    kind: "local",
    isolation:
      "none: commands run as your own user, with your files and your network; " +
      "only the environment, the repository and the processes are kept apart",

    probe: async () => ({ kind: "available", details: "a folder and your own user" }),

    create: async (request) => {
      const refused = refuseWishes(request);
      if (refused !== null) return refused;
      const made = await makeWorkspace(request, { ...options, limits });
      if (!made.ok) return made;
      const { id, seed, env: given } = request;
      return { ok: true, value: open({ id, layout: made.value, seed, given, isFound: false }) };
    },
    find: async ({ id, env: given }) => {
      const layout = locate(id);
      const record = layout === null ? null : readRecord(layout);
      if (layout === null || !isWhole(record)) return null;
      return open({ id, layout, seed: record.seed, given, isFound: true });
    },
    list: () => listFolders(options.root),
    endLeftovers: async (id) => {
      const layout = locate(id);
      return layout === null ? 0 : endMarkedProcesses(processMarker(layout));
    },
    remove: async (id) => {
      const layout = locate(id);
      if (layout === null || !exists(layout.folder)) return;
      const record = readRecord(layout);
      if (record !== null) writeRecord(layout, { ...record, state: "removing" });
      crashPoint("workspace.removing");
      await endMarkedProcesses(processMarker(layout));
      await removeFolder(layout.folder, limits.removeTimeoutMs);
    },
    listSnapshots: async () => listLocalSnapshots(places()),
    deleteSnapshot: (id) => deleteLocalSnapshot(places(), id),
    fork: (snapshot, forks) =>
      mapLimited(forks, FORKS_AT_ONCE, async (request) => {
        const refused = refuseWishes(request);
        if (refused !== null) return refused;
        const { id, env: given } = request;
        const claim = (): Promise<Result<LocalLayout>> =>
          orFailure(id, async () => ({ ok: true, value: claimFolder(options.root, id) }));
        const made = await forkLocal({ places: places(), snapshot, id }, claim);
        if (!made.ok) return made;
        return { ok: true, value: open({ id, ...made.value, given, isFound: false }) };
      }),
  };
}

/** What this kind cannot hold it does not promise. */
function refuseWishes(request: Pick<LastingRequest, "network" | "limits" | "image">) {
  const hint = "use a sandbox, docker or vm workspace";
  if (request.network === "none") {
    const message = "a local workspace cannot be cut off from the network";
    return failureWith("workspace-unsupported", message, { hint });
  }
  if (Object.values(request.limits ?? {}).some((limit) => limit !== undefined)) {
    const message = "a local workspace cannot be held to limits";
    return failureWith("workspace-unsupported", message, { hint });
  }
  if (request.image === undefined) return null;
  const message = "a local workspace is made of no image";
  return failureWith("workspace-unsupported", message, { hint: "use a docker or vm workspace" });
}

interface Found {
  readonly id: string;
  readonly layout: LocalLayout;
  readonly seed: SeedRecord | null;
  readonly given: Readonly<Record<string, string>>;
  readonly isFound: boolean;
}

/** Paths are confined and processes are marked by what a folder is really called. */
function withoutLinks(root: string): string {
  return exists(root) ? realpathSync(root) : resolve(root);
}

function gitEnvironmentOf(
  given: Readonly<Record<string, string>>,
  { gitEnvironment }: LocalProviderOptions,
): Record<string, string> {
  return { PATH: given["PATH"] ?? DEFAULT_PATH, ...gitEnvironment };
}

/** All of a workspace or nothing of it, unless this process dies on the way. */
async function makeWorkspace(
  { id, seed, env: given }: LastingRequest,
  options: LocalProviderOptions & { readonly limits: LocalLimits },
): Promise<Result<LocalLayout>> {
  if (!isWorkspaceId(id)) {
    return workspaceFailure(`"${id}" cannot be the id of a workspace`, { hint: ID_RULE });
  }
  const begun = await orFailure(id, async () => ({
    ok: true as const,
    value: claimFolder(options.root, id),
  }));
  if (!begun.ok) return begun;
  const layout = begun.value;
  const made = await orFailure(id, async () => {
    const record = newRecord({ seed, createdAt: timestamp(systemClock) });
    writeRecord(layout, record);
    crashPoint("workspace.recorded");
    makeFolders(layout);
    const env = { ...gitEnvironmentOf(given, options), ...identityOf(id, layout) };
    const timeoutMs = options.limits.checkoutTimeoutMs;
    const cloned = seed === null ? begun : await makeClone({ layout, seed, env, timeoutMs });
    if (!cloned.ok) return cloned;
    writeRecord(layout, { ...record, state: "running" });
    return begun;
  });
  if (!made.ok) await removeFolder(layout.folder, options.limits.removeTimeoutMs);
  return made;
}

/** Takes the id: from here on the workspace is listed. */
function claimFolder(root: string, id: string): LocalLayout {
  mkdirSync(root, { recursive: true });
  const layout = layoutOf(withoutLinks(root), id);
  mkdirSync(layout.folder);
  return layout;
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

/** Half-made workspaces too: whoever lists them may want to remove them. */
async function listFolders(root: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(root, { withFileTypes: true });
    return entries.flatMap((entry) =>
      entry.isDirectory() && isWorkspaceId(entry.name) ? entry.name : [],
    );
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}
