import { realpathSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Refusal, type Result } from "../../domain/failure.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { mapLimited } from "../../lib/map-limited.ts";
import type { LastingProvider, LastingWorkspace } from "../lasting-workspace.ts";
import { isWorkspaceId } from "../local-layout.ts";
import { closePortsOf } from "../ports/open-ports.ts";
import { codeOf } from "../workspace-failure.ts";
import { commandEnvironment } from "./docker-workspace.ts";
import type { EngineAddress, EngineLimits } from "./engine-asking.ts";
import { openEngine } from "./engine.ts";
import { openGuestPool, type GuestPool } from "./guest-pool.ts";
import { LastingDockerWorkspace, mendRestore } from "./lasting-docker-workspace.ts";
import { containerName, LABELS } from "./layout.ts";
import { makeWorkspace, type Making } from "./make-workspace.ts";
import { notRunning } from "./not-running.ts";
import { exists, readRecord, writeRecord } from "./record.ts";
import { openSeedBundles } from "./seed-bundle.ts";
import { folderOf, orFailure, type DockerProviderLimits, type Shop } from "./shop.ts";
import { deleteSnapshot, findSnapshot, listSnapshots } from "./snapshots.ts";

export interface DockerProviderOptions {
  /** Holds records, bundles and the seeds' packs; made where it is missing. */
  readonly root: string;
  /** Asked for when it is needed: one that cannot be read is no trouble of other kinds. */
  readonly address: EngineAddress | (() => EngineAddress);
  /** Where nobody names another. */
  readonly image: string;
  /** For Mycelium's own git: `PATH` is what counts. */
  readonly gitEnvironment: Readonly<Record<string, string>>;
  readonly limits?: Partial<DockerProviderLimits>;
  readonly engineLimits?: Partial<EngineLimits>;
}

const GIGABYTE = 1024 * 1024 * 1024;
const FORKS_AT_ONCE_MAX = 8;

const LIMITS: DockerProviderLimits = {
  checkoutTimeoutMs: 300_000,
  collectTimeoutMs: 120_000,
  sweepTimeoutMs: 30_000,
  fileTimeoutMs: 300_000,
  bundleBytesMax: 2 * GIGABYTE,
  seedBytesMax: 16 * GIGABYTE,
  outputBytesMax: 65_536,
};

/** Workspaces that are containers, with a folder each for what the host knows of them. */
export function createDockerProvider(options: DockerProviderOptions): LastingProvider {
  const shop = shopOf(options);
  const make = async (making: Making): Promise<Result<LastingWorkspace>> => {
    const here = shop();
    const pool = openPool(making.id, here);
    const made = await makeWorkspace(making, here, pool);
    if (!made.ok) return made;
    return { ok: true, value: openWorkspace(making.id, making.env, here, pool) };
  };
  return {
    kind: "docker",
    isolation:
      "a container: its own files, processes and user, no capabilities, limits that hold, and no " +
      "network where that is wanted; the kernel is shared with this machine",

    probe: async () => probe(shop()),

    create: (request) => make({ ...request, base: null, variables: {} }),

    find: async ({ id, env }) => {
      const here = shop();
      const record = isWorkspaceId(id) ? readRecord(folderOf(here, id)) : null;
      if (record === null || record.state === "making" || record.state === "removing") return null;
      if (record.state === "restoring") await mendRestore(id, here);
      return openWorkspace(id, env, here);
    },

    list: () => orNothing(options.root, () => listIds(shop())),

    endLeftovers: async (id) => (isWorkspaceId(id) ? endLeftovers(id, shop()) : 0),

    remove: async (id) => {
      if (isWorkspaceId(id)) await removeWorkspace(id, shop());
    },

    listSnapshots: () =>
      orNothing(options.root, async () =>
        (await listSnapshots(shop())).map(({ snapshot }) => snapshot),
      ),

    deleteSnapshot: (id) => orFailure(id, () => deleteSnapshot(shop(), id)),

    fork: async (id, forks) => {
      const found = await orFailure(id, () => findSnapshot(shop(), id));
      if (!found.ok) return forks.map(() => found);
      const variables = found.value.variables;
      return mapLimited(forks, FORKS_AT_ONCE_MAX, (request) =>
        make({ ...request, seed: null, base: id, variables }),
      );
    },
  };
}

function shopOf(options: DockerProviderOptions): () => Shop {
  const limits = { ...LIMITS, ...options.limits };
  const { address } = options;
  const addressOf = typeof address === "function" ? address : () => address;
  const engine = openEngine(addressOf, options.engineLimits);
  const seeds = openSeedBundles({
    folder: join(options.root, "seeds"),
    env: options.gitEnvironment,
    timeoutMs: limits.checkoutTimeoutMs,
    bytesMax: limits.seedBytesMax,
  });
  const { root, image } = options;
  return () => {
    const home = exists(root) ? realpathSync(root) : resolve(root);
    return { engine, address: addressOf, home, image, limits, seeds };
  };
}

function openPool(id: string, shop: Shop): GuestPool {
  return openGuestPool(shop.engine, containerName(shop.home, id), () =>
    readRecord(folderOf(shop, id))?.wanted === "stopped" ? notRunning(id) : null,
  );
}

function openWorkspace(
  id: string,
  given: Readonly<Record<string, string>>,
  shop: Shop,
  pool: GuestPool = openPool(id, shop),
): LastingDockerWorkspace {
  const folder = folderOf(shop, id);
  const env = commandEnvironment(given);
  const means = {
    id,
    pool,
    outbox: join(folder, "outbox"),
    env: () => ({ ...env, ...readRecord(folder)?.variables }),
    limits: shop.limits,
    remove: () => removeWorkspace(id, shop),
  };
  return new LastingDockerWorkspace(means, shop);
}

async function probe({ engine, image }: Shop): ReturnType<LastingProvider["probe"]> {
  try {
    const { version } = await engine.facts();
    if (await engine.hasImage(image)) {
      return { kind: "available", details: `Docker Engine ${version}, image ${image}` };
    }
    const hint = "make it by `mycelium image build`";
    return { kind: "missing", what: `the image ${image}`, hint };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const hint = error.failure.hint ?? "look at the engine's own log";
    return { kind: "missing", what: error.message, hint };
  }
}

/** A home that never had a container has none, whether or not there is an engine to be asked. */
async function orNothing<T>(root: string, ask: () => Promise<readonly T[]>): Promise<readonly T[]> {
  try {
    return await ask();
  } catch (error) {
    const isDown = error instanceof Refusal && error.failure.code === "workspace-unavailable";
    if (isDown && !exists(root)) return [];
    throw error;
  }
}

/** By folder and by label: one of the two may be all that is left. */
async function listIds(shop: Shop): Promise<readonly string[]> {
  const containers = await shop.engine.listContainers({ [LABELS.home]: shop.home });
  const labelled = containers.map(({ labels }) => labels[LABELS.workspace] ?? "");
  const folders = await readdir(join(shop.home, "workspaces")).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  });
  return [...new Set([...folders, ...labelled])].filter((id) => isWorkspaceId(id));
}

async function removeWorkspace(id: string, shop: Shop): Promise<void> {
  await markRemoving(id, shop);
  crashPoint("workspace.removing");
  await closePortsOf(folderOf(shop, id));
  await shop.engine.removeContainer(containerName(shop.home, id));
  crashPoint("workspace.emptied");
  await rm(folderOf(shop, id), { recursive: true, force: true });
}

/** So that nobody finds what is half removed. A disk without room is a reason to go on. */
async function markRemoving(id: string, shop: Shop): Promise<void> {
  const record = readRecord(folderOf(shop, id));
  if (record === null) return;
  try {
    await writeRecord(folderOf(shop, id), { ...record, state: "removing" });
  } catch (error) {
    if (!["ENOSPC", "EDQUOT"].includes(codeOf(error))) throw error;
  }
}

/**
 * By an agent, which can count; then the container is stopped, because whatever is left of an earlier
 * life only takes up room. Whoever runs a command in it starts it again.
 */
async function endLeftovers(id: string, shop: Shop): Promise<number> {
  const container = containerName(shop.home, id);
  await closePortsOf(folderOf(shop, id));
  const state = await shop.engine.inspectContainer(container);
  if (state === null || !state.running) return 0;
  const pool = openGuestPool(shop.engine, container);
  try {
    return await pool.use((guest) => guest.sweep(shop.limits.sweepTimeoutMs));
  } catch {
    // No agent could start any more, so there was more than nothing.
    return 1;
  } finally {
    pool.end();
    await shop.engine.killContainer(container);
  }
}
