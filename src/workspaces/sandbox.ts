import { readdir } from "node:fs/promises";
import type { LastingProvider } from "./lasting-workspace.ts";
import { exists, isWorkspaceId } from "./local-layout.ts";
import { sandboxAt } from "./sandbox/layout.ts";
import { createSandbox, forkSandboxes, homeOf, type Made } from "./sandbox/make.ts";
import { probeSandbox } from "./sandbox/probe.ts";
import { readWhole } from "./sandbox/record.ts";
import { removeSandbox } from "./sandbox/remove.ts";
import { endSandbox, type SandboxPlace } from "./sandbox/runtime.ts";
import { SandboxWorkspace, type SandboxTimeouts } from "./sandbox/sandbox-workspace.ts";
import { deleteSandboxSnapshot, listSandboxSnapshots } from "./sandbox/snapshots.ts";
import { codeOf } from "./workspace-failure.ts";

export interface SandboxProviderOptions {
  /** Holds all sandboxes and the layers they share; made where it is missing. */
  readonly root: string;
  readonly timeouts?: Partial<SandboxTimeouts>;
}

const TIMEOUTS: SandboxTimeouts = {
  checkoutTimeoutMs: 300_000,
  collectTimeoutMs: 120_000,
  filesTimeoutMs: 60_000,
  copyTimeoutMs: 300_000,
  removeTimeoutMs: 300_000,
  bundleBytesMax: 2 * 1024 * 1024 * 1024,
  outputBytesMax: 65_536,
  jobOutputBytesMax: 1024 * 1024 * 1024,
};

/** Workspaces of namespaces and overlays: no daemon, no image, and root where it is at hand. */
export function createSandboxProvider(options: SandboxProviderOptions): LastingProvider {
  const { root } = options;
  const timeouts = { ...TIMEOUTS, ...options.timeouts };
  const making = { root, ...timeouts };
  const { removeTimeoutMs: timeoutMs } = timeouts;
  const locate = (id: string): SandboxPlace | null => {
    if (!isWorkspaceId(id)) return null;
    const home = homeOf(root);
    return { home, id, layout: sandboxAt(home, id) };
  };
  const open = (made: Made, env: Readonly<Record<string, string>>): SandboxWorkspace =>
    new SandboxWorkspace({ ...made, env, timeouts });
  return {
    kind: "sandbox",
    isolation:
      "commands run as an unprivileged user in namespaces of their own: they see the host's tools " +
      "read-only and nothing else of it, and share its kernel",

    probe: () => probeSandbox(),

    create: async (request) => {
      const made = await createSandbox(request, making);
      return made.ok ? { ok: true, value: open(made.value, request.env) } : made;
    },
    find: async ({ id, env }) => {
      const place = locate(id);
      const record = place === null ? null : readWhole(place.layout);
      return place === null || record === null ? null : open({ place, record }, env);
    },
    list: () => listFolders(homeOf(root).workspaces),
    endLeftovers: async (id) => {
      const place = locate(id);
      return place === null || !exists(place.layout.folder) ? 0 : endSandbox(place.layout);
    },
    remove: async (id) => {
      const place = locate(id);
      if (place !== null) await removeSandbox(place, { timeoutMs });
    },
    listSnapshots: async () => listSandboxSnapshots(homeOf(root)),
    deleteSnapshot: (id) => deleteSandboxSnapshot(homeOf(root), id, timeoutMs),
    fork: async (snapshot, requests) => {
      const forks = await forkSandboxes(snapshot, requests, making);
      return forks.map((made, at) =>
        made.ok ? { ok: true, value: open(made.value, requests[at]?.env ?? {}) } : made,
      );
    },
  };
}

/** Half-made ones too: whoever lists them may want to remove them. */
async function listFolders(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.flatMap((entry) =>
      entry.isDirectory() && isWorkspaceId(entry.name) ? entry.name : [],
    );
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}
