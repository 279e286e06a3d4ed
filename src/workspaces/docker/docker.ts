import { mkdirSync, realpathSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Refusal, type Result } from "../../domain/failure.ts";
import { systemClock, timestamp } from "../../lib/clock.ts";
import { isWorkspaceId } from "../local-layout.ts";
import type { WorkspaceProvider, WorkspaceRequest } from "../workspace.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import { containerOptions, firstFiles } from "./container.ts";
import { commandEnvironment, DockerWorkspace, type DockerLimits } from "./docker-workspace.ts";
import { openEngine, type Engine, type EngineAddress } from "./engine.ts";
import { openGuestPool, type GuestPool } from "./guest-pool.ts";
import { containerName, hostnameOf, LABELS } from "./layout.ts";
import { exists, readRecord, writeRecord, type WorkspaceRecord } from "./record.ts";
import { openSeedBundles, type SeedBundles } from "./seed-bundle.ts";
import { findSeedFault, seedRepository } from "./seeding.ts";

export interface DockerProviderOptions {
  /** Holds records, bundles and the seeds' packs; made where it is missing. */
  readonly root: string;
  readonly address: EngineAddress;
  /** Where nobody names another. */
  readonly image: string;
  /** For Mycelium's own git: `PATH` is what counts. */
  readonly gitEnvironment: Readonly<Record<string, string>>;
  readonly limits?: Partial<DockerProviderLimits>;
}

export interface DockerProviderLimits extends DockerLimits {
  readonly checkoutTimeoutMs: number;
  readonly sweepTimeoutMs: number;
  readonly seedBytesMax: number;
}

const GIGABYTE = 1024 * 1024 * 1024;

const LIMITS: DockerProviderLimits = {
  checkoutTimeoutMs: 300_000,
  collectTimeoutMs: 120_000,
  sweepTimeoutMs: 30_000,
  fileTimeoutMs: 300_000,
  bundleBytesMax: 2 * GIGABYTE,
  seedBytesMax: 16 * GIGABYTE,
  outputBytesMax: 65_536,
};

interface Shop {
  readonly engine: Engine;
  readonly home: string;
  readonly image: string;
  readonly limits: DockerProviderLimits;
  readonly seeds: SeedBundles;
}

/** Workspaces that are containers, with a folder each for what the host knows of them. */
export function createDockerProvider(options: DockerProviderOptions): WorkspaceProvider {
  const limits = { ...LIMITS, ...options.limits };
  const shopAt = (home: string): Shop => ({
    engine,
    home,
    image: options.image,
    limits,
    seeds,
  });
  const engine = openEngine(options.address);
  const seeds = openSeedBundles({
    folder: join(options.root, "seeds"),
    env: options.gitEnvironment,
    timeoutMs: limits.checkoutTimeoutMs,
    bytesMax: limits.seedBytesMax,
  });
  const shop = (): Shop => shopAt(withoutLinks(options.root));
  return {
    kind: "docker",
    isolation:
      "a container: its own files, processes and user, no capabilities, limits that hold, and no " +
      "network where that is wanted; the kernel is shared with this machine",

    probe: async () => {
      try {
        const { version } = await engine.facts();
        if (await engine.hasImage(options.image)) {
          return { kind: "available", details: `Docker Engine ${version}, image ${options.image}` };
        }
        const what = `the image ${options.image}`;
        return { kind: "missing", what, hint: "make it by `mycelium image build`" };
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        const hint = error.failure.hint ?? "look at the engine's own log";
        return { kind: "missing", what: error.message, hint };
      }
    },

    create: async (request) => makeWorkspace(request, shop()),

    find: async ({ id, env }) => {
      const here = shop();
      if (!isWorkspaceId(id) || readRecord(folderOf(here, id))?.state !== "ready") return null;
      return openWorkspace(id, env, here);
    },

    list: async () => {
      const here = shop();
      const containers = await engine.listContainers({ [LABELS.home]: here.home });
      const labelled = containers.map(({ labels }) => labels[LABELS.workspace] ?? "");
      const ids = new Set([...(await listFolders(here)), ...labelled]);
      return [...ids].filter((id) => isWorkspaceId(id));
    },

    endLeftovers: async (id) => (isWorkspaceId(id) ? endLeftovers(id, shop()) : 0),

    remove: async (id) => {
      if (isWorkspaceId(id)) await removeWorkspace(id, shop());
    },
  };
}

function folderOf({ home }: Shop, id: string): string {
  return join(home, "workspaces", id);
}

function withoutLinks(root: string): string {
  return exists(root) ? realpathSync(root) : resolve(root);
}

function openWorkspace(
  id: string,
  given: Readonly<Record<string, string>>,
  shop: Shop,
  pool: GuestPool = openGuestPool(shop.engine, containerName(shop.home, id)),
): DockerWorkspace {
  return new DockerWorkspace({
    id,
    pool,
    outbox: join(folderOf(shop, id), "outbox"),
    env: commandEnvironment(given),
    limits: shop.limits,
    remove: () => removeWorkspace(id, shop),
  });
}

/** All of a workspace or nothing of it, unless this process dies on the way. */
async function makeWorkspace(
  request: WorkspaceRequest,
  shop: Shop,
): Promise<Result<DockerWorkspace>> {
  const { id, seed, limits = {} } = request;
  if (!isWorkspaceId(id)) return workspaceFailure(`"${id}" cannot be the id of a workspace`);
  const fault = findSeedFault(seed);
  if (fault !== null) return workspaceFailure(fault);
  const record: WorkspaceRecord = {
    version: 1,
    state: "making",
    id,
    image: request.image ?? shop.image,
    limits: { ...limits },
    network: request.network ?? "allow",
    hostname: hostnameOf(id),
    createdAt: timestamp(systemClock),
  };
  const begun = await orFailure(id, async () => {
    await checkLimits(record, shop.engine);
    mkdirSync(join(shop.home, "workspaces"), { recursive: true });
    mkdirSync(folderOf(shop, id));
    await writeRecord(folderOf(shop, id), record);
    return { ok: true, value: undefined };
  });
  if (!begun.ok) return begun;
  let isOurs = false;
  const made = await orFailure(id, async () => {
    // Packing the seed and making the container do not wait for each other.
    const bundle = shop.seeds.bundleOf(seed);
    const place = { home: shop.home, name: containerName(shop.home, id) };
    const container = await shop.engine.createContainer(containerOptions(record, place));
    isOurs = true;
    await shop.engine.putArchive(container, firstFiles());
    await shop.engine.startContainer(container);
    return fillWorkspace(request, record, shop, await bundle);
  });
  if (!made.ok) {
    if (isOurs) await shop.engine.removeContainer(containerName(shop.home, id));
    await rm(folderOf(shop, id), { recursive: true, force: true });
  }
  return made;
}

async function fillWorkspace(
  { id, seed, env }: WorkspaceRequest,
  record: WorkspaceRecord,
  shop: Shop,
  bundle: Result<string>,
): Promise<Result<DockerWorkspace>> {
  if (!bundle.ok) return bundle;
  const pool = openGuestPool(shop.engine, containerName(shop.home, id));
  const { checkoutTimeoutMs: timeoutMs } = shop.limits;
  const guestEnv = commandEnvironment(env);
  const seeded = await pool.use((guest) =>
    seedRepository({ guest, seed, bundle: bundle.value, env: guestEnv, timeoutMs }),
  );
  if (!seeded.ok) {
    pool.end();
    return seeded;
  }
  await writeRecord(folderOf(shop, id), { ...record, state: "ready" });
  return { ok: true, value: openWorkspace(id, env, shop, pool) };
}

async function removeWorkspace(id: string, shop: Shop): Promise<void> {
  await shop.engine.removeContainer(containerName(shop.home, id));
  await rm(folderOf(shop, id), { recursive: true, force: true });
}

/**
 * By an agent, which can count; then the container is stopped, because whatever is left of an earlier
 * life only takes up room. Whoever runs a command in it starts it again.
 */
async function endLeftovers(id: string, shop: Shop): Promise<number> {
  const container = containerName(shop.home, id);
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

/** What the engine would take without a word and not hold. */
async function checkLimits({ limits }: WorkspaceRecord, engine: Engine): Promise<void> {
  if (limits.diskMb !== undefined) {
    throw new Refusal("workspace-failed", "a docker workspace cannot limit the disk", {
      hint: "leave disk_mb out, or use a sandbox or vm workspace",
    });
  }
  if (limits.memoryMb === undefined && limits.cpus === undefined) return;
  const { cpus, memoryBytes } = await engine.facts();
  const memoryMb = Math.floor(memoryBytes / 1024 / 1024);
  const tooMuch = [
    (limits.memoryMb ?? 0) > memoryMb ? `${limits.memoryMb} MB of memory; it has ${memoryMb}` : "",
    (limits.cpus ?? 0) > cpus ? `${limits.cpus} cores; it has ${cpus}` : "",
  ].filter((text) => text !== "");
  if (tooMuch.length === 0) return;
  throw new Refusal("workspace-failed", `this machine cannot give ${tooMuch.join(", nor ")}`, {
    hint: "ask for less",
  });
}

/** Turns what the engine or the disk refuses into a failure; everything else thrown is a bug. */
async function orFailure<T>(id: string, act: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, failure: error.failure };
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
async function listFolders(shop: Shop): Promise<readonly string[]> {
  try {
    return await readdir(join(shop.home, "workspaces"));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}
