import { mkdirSync, realpathSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { resolve } from "node:path";
import { endMarkedProcesses } from "../lib/process.ts";
import type { Result } from "../domain/failure.ts";
import { makeClone } from "./local-clone.ts";
import { DEFAULT_PATH } from "./local-git.ts";
import { exists, isWorkspaceId, layoutOf, markReady, readReady } from "./local-layout.ts";
import type { LocalLayout, SeedRecord } from "./local-layout.ts";
import {
  commandEnvironment,
  identityOf,
  LocalWorkspace,
  processMarker,
  removeFolder,
  type LocalLimits,
} from "./local-workspace.ts";
import type { WorkspaceProvider, WorkspaceRequest } from "./workspace.ts";
import { codeOf, workspaceFailure } from "./workspace-failure.ts";

export interface LocalProviderOptions {
  /** Holds a folder a workspace; made where it is missing. */
  readonly root: string;
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
};

/** Workspaces that are folders on this machine: `<root>/<id>/{repository,context,tmp,home,outbox}`. */
export function createLocalProvider(options: LocalProviderOptions): WorkspaceProvider {
  const limits = { ...LIMITS, ...options.limits };
  const locate = (id: string): LocalLayout | null =>
    isWorkspaceId(id) ? layoutOf(withoutLinks(options.root), id) : null;
  const open = (found: Found): LocalWorkspace => {
    const env = commandEnvironment(found.layout, found.given);
    const gitEnvironment = gitEnvironmentOf(found.given, options);
    return new LocalWorkspace({ ...found, env, gitEnvironment, limits });
  };
  return {
    kind: "local",
    isolation:
      "none: commands run as your own user, with your files and your network; " +
      "only the environment, the repository and the processes are kept apart",

    probe: async () => ({ kind: "available", details: "a folder and your own user" }),

    create: async (request) => {
      if (request.network === "none") {
        return workspaceFailure("a local workspace cannot be cut off from the network", {
          hint: "use a sandbox, docker or vm workspace",
        });
      }
      const made = await makeWorkspace(request, { ...options, limits });
      if (!made.ok) return made;
      const { id, seed, env: given } = request;
      return { ok: true, value: open({ id, layout: made.value, seed, given, isFound: false }) };
    },
    find: async ({ id, env: given }) => {
      const layout = locate(id);
      const seed = layout === null ? null : readReady(layout);
      if (layout === null || seed === null) return null;
      return open({ id, layout, seed, given, isFound: true });
    },
    list: () => listFolders(options.root),
    endLeftovers: async (id) => {
      const layout = locate(id);
      return layout === null ? 0 : endMarkedProcesses(processMarker(layout));
    },
    remove: async (id) => {
      const layout = locate(id);
      if (layout === null || !exists(layout.folder)) return;
      await endMarkedProcesses(processMarker(layout));
      await removeFolder(layout.folder, limits.removeTimeoutMs);
    },
  };
}

interface Found {
  readonly id: string;
  readonly layout: LocalLayout;
  readonly seed: SeedRecord;
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
  { id, seed, env: given }: WorkspaceRequest,
  options: LocalProviderOptions & { readonly limits: LocalLimits },
): Promise<Result<LocalLayout>> {
  if (!isWorkspaceId(id)) return workspaceFailure(`"${id}" cannot be the id of a workspace`);
  const begun = await orFailure(id, async () => makeFolders(options.root, id));
  if (!begun.ok) return begun;
  const layout = begun.value;
  const made = await orFailure(id, async () => {
    const env = { ...gitEnvironmentOf(given, options), ...identityOf(id, layout) };
    const timeoutMs = options.limits.checkoutTimeoutMs;
    const cloned = await makeClone({ layout, seed, env, timeoutMs });
    if (!cloned.ok) return cloned;
    markReady(layout, seed);
    return begun;
  });
  if (!made.ok) await removeFolder(layout.folder, options.limits.removeTimeoutMs);
  return made;
}

function makeFolders(root: string, id: string): Result<LocalLayout> {
  mkdirSync(root, { recursive: true });
  const layout = layoutOf(withoutLinks(root), id);
  mkdirSync(layout.folder);
  for (const folder of [layout.repository, layout.context, layout.temporary, layout.outbox]) {
    mkdirSync(folder);
  }
  return { ok: true, value: layout };
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
