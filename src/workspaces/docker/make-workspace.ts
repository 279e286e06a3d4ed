import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Refusal, type Result } from "../../domain/failure.ts";
import { systemClock, timestamp } from "../../lib/clock.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { ID_RULE, isWorkspaceId } from "../local-layout.ts";
import type { LastingRequest } from "../lasting-workspace.ts";
import type { WorkspaceSeed } from "../workspace.ts";
import { asUnsettled, workspaceFailure } from "../workspace-failure.ts";
import { containerOptions, firstFiles } from "./container.ts";
import { commandEnvironment } from "./docker-workspace.ts";
import { wasLost } from "./engine-asking.ts";
import type { Engine } from "./engine.ts";
import { GuestLost, GuestRefusal } from "./guest-connection.ts";
import type { GuestPool } from "./guest-pool.ts";
import { containerName, hostnameOf, snapshotImage } from "./layout.ts";
import { createContainerOnce } from "./make-once.ts";
import { writeRecord, type WorkspaceRecord } from "./record.ts";
import { findSeedFault, seedRepository } from "./seeding.ts";
import { folderOf, orFailure, type Shop } from "./shop.ts";

/** What a workspace is made from: a seed or nothing, on an image or a snapshot. */
export interface Making extends LastingRequest {
  readonly base: string | null;
  readonly variables: Readonly<Record<string, string>>;
}

/** All of a workspace or nothing of it, unless this process dies on the way. */
export async function makeWorkspace(
  making: Making,
  shop: Shop,
  pool: GuestPool,
): Promise<Result<void>> {
  const { id, seed } = making;
  if (!isWorkspaceId(id)) {
    return workspaceFailure(`"${id}" cannot be the id of a workspace`, { hint: ID_RULE });
  }
  const fault = seed === null ? null : findSeedFault(seed);
  if (fault !== null) return workspaceFailure(fault);
  const record = firstRecord(making, shop);
  const folder = folderOf(shop, id);
  const isFork = making.base !== null;
  const begun = await orFailure(id, async () => {
    await checkLimits(record, shop.engine);
    mkdirSync(join(shop.home, "workspaces"), { recursive: true });
    mkdirSync(folder);
    await writeRecord(folder, record);
    crashPoint(isFork ? "fork.recorded" : "workspace.recorded");
    return { ok: true, value: undefined };
  });
  if (!begun.ok) return begun;
  let isOurs = false;
  const made = await orFailure(id, async () => {
    // Packing the seed and making the container do not wait for each other.
    const bundle = seed === null ? null : shop.seeds.bundleOf(seed);
    await buildContainer(record, shop, () => (isOurs = true));
    crashPoint(isFork ? "fork.copied" : "workspace.built");
    const filled = await fill(making, shop, pool, await bundle);
    if (!filled.ok) return filled;
    await writeRecord(folder, { ...record, state: "ready" });
    return filled;
  });
  if (!made.ok) {
    pool.end();
    // A lost answer may have made one, too.
    return isOurs || wasLost(made.failure) ? undo(made, record, shop) : forget(made, folder);
  }
  return made;
}

type Failed = Extract<Result<void>, { readonly ok: false }>;

async function forget(failed: Failed, folder: string): Promise<Failed> {
  await rm(folder, { recursive: true, force: true });
  return failed;
}

/** Where the engine does not let it be taken away now, it stays listed, for whoever removes it. */
async function undo(failed: Failed, record: WorkspaceRecord, shop: Shop): Promise<Failed> {
  const folder = folderOf(shop, record.id);
  try {
    await shop.engine.removeContainer(containerName(shop.home, record.id));
    return await forget(failed, folder);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    await writeRecord(folder, { ...record, state: "removing" });
    return { ok: false, failure: asUnsettled(failed.failure) };
  }
}

/** The container that a record tells of, running. */
export async function buildContainer(
  record: WorkspaceRecord,
  { engine, home }: Shop,
  onCreated: () => void = () => undefined,
): Promise<void> {
  const name = containerName(home, record.id);
  const image = record.base === null ? record.image : snapshotImage(home, record.base);
  const options = containerOptions({ ...record, image }, { home, name });
  const container = await createContainerOnce(engine, options);
  onCreated();
  // A snapshot has everything already, and an agent of another version is found out when it starts.
  if (record.base === null) await engine.putArchive(container, firstFiles());
  await engine.startContainer(container);
}

function firstRecord(making: Making, shop: Shop): WorkspaceRecord {
  const { id, limits = {}, base, variables } = making;
  return {
    version: 1,
    state: "making",
    id,
    image: making.image ?? shop.image,
    limits: { ...limits },
    network: making.network ?? "allow",
    hostname: hostnameOf(id),
    createdAt: timestamp(systemClock),
    wanted: "running",
    variables: { ...variables },
    base,
    forkedFrom: base,
    standsOn: base,
  };
}

async function fill(
  { seed, env }: { seed: WorkspaceSeed | null; env: Readonly<Record<string, string>> },
  shop: Shop,
  pool: GuestPool,
  bundle: Result<string> | null,
): Promise<Result<void>> {
  if (seed === null || bundle === null) return { ok: true, value: undefined };
  if (!bundle.ok) return bundle;
  const means = { seed, bundle: bundle.value, env: commandEnvironment(env) };
  const timeoutMs = shop.limits.checkoutTimeoutMs;
  try {
    return await pool.use((guest) => seedRepository({ guest, ...means, timeoutMs }));
  } catch (error) {
    if (!(error instanceof GuestLost || error instanceof GuestRefusal)) throw error;
    return workspaceFailure(`the clone was not made: ${error.message}`, { hint: "try again" });
  }
}

/** What the engine would take without a word and not hold. */
async function checkLimits({ limits }: WorkspaceRecord, engine: Engine): Promise<void> {
  if (limits.diskMb !== undefined) {
    throw new Refusal("workspace-failed", "a docker workspace cannot limit the disk", {
      hint: "leave disk_mb out, or use a vm workspace",
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
