import { randomBytes } from "node:crypto";
import { mkdirSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { isRefName } from "../../git/ref-name.ts";
import { systemClock, timestamp } from "../../lib/clock.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { lockFile } from "../../lib/file-lock.ts";
import type { ForkRequest, LastingRequest } from "../lasting-workspace.ts";
import { exists, isWorkspaceId } from "../local-layout.ts";
import { missingSnapshot } from "../local-snapshots.ts";
import { codeOf, failureWith, workspaceFailure } from "../workspace-failure.ts";
import {
  baseLayerName,
  EMPTY_LAYER,
  ensureBaseLayer,
  ensureEmptyLayer,
  writeBranch,
  writeSeedFiles,
} from "./base-layer.ts";
import { homeAt, ownLayer, sandboxAt, type SandboxHome } from "./layout.ts";
import { giveAwayTree } from "./outside-user.ts";
import { writeRecord, type SandboxRecord } from "./record.ts";
import { removeSandbox } from "./remove.ts";
import { cgroupsOf, startLocked, type SandboxPlace } from "./runtime.ts";
import { findSnapshotRecord, isMade, makeOwnLayer } from "./snapshot-files.ts";

export interface Making {
  readonly root: string;
  readonly checkoutTimeoutMs: number;
  readonly removeTimeoutMs: number;
}

/** A sandbox that runs. */
export interface Made {
  readonly place: SandboxPlace;
  readonly record: SandboxRecord;
}

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

export async function createSandbox(
  request: LastingRequest,
  making: Making,
): Promise<Result<Made>> {
  const { seed } = request;
  if (seed !== null && !isRefName(`refs/heads/${seed.branch}`)) {
    return workspaceFailure(`"${seed.branch}" is not a name for a branch`);
  }
  if (seed !== null && !COMMIT.test(seed.commit)) {
    return workspaceFailure(`"${seed.commit}" is not a commit's id`);
  }
  if (request.image !== undefined) {
    return failureWith("workspace-unsupported", "a sandbox is made of no image", {
      hint: "use a docker or vm workspace",
    });
  }
  if (request.limits?.diskMb !== undefined) return unlimitedDisk();
  const begun = await orFailure(request.id, async () =>
    begin(request, making.root, {
      seed,
      layers: [seed === null ? EMPTY_LAYER : baseLayerName(seed)],
      standsOn: null,
      variables: {},
    }),
  );
  if (!begun.ok) return begun;
  crashPoint("workspace.recorded");
  return finish(begun.value, making, async ({ home, layout }, { generation }) => {
    if (seed === null) return ensureEmptyLayer(home);
    const based = await ensureBaseLayer(home, seed, making.checkoutTimeoutMs);
    if (!based.ok) return based;
    const { upper } = ownLayer(layout, generation);
    writeBranch(upper, seed);
    giveAwayTree([`${upper}/repository`]);
    return based;
  });
}

/** In parallel, one answer a request, in order; the others stay where one fails. */
export async function forkSandboxes(
  snapshot: string,
  requests: readonly ForkRequest[],
  making: Making,
): Promise<readonly Result<Made>[]> {
  const claims = await claimForks(snapshot, requests, making.root);
  crashPoint("fork.recorded");
  return Promise.all(
    claims.map(async (claim) => {
      if (!claim.ok) return claim;
      return finish(claim.value, making, async () => {
        crashPoint("fork.copied");
        return { ok: true, value: undefined };
      });
    }),
  );
}

/** From here on they stand on the snapshot, so that nobody removes it. */
async function claimForks(
  snapshot: string,
  requests: readonly ForkRequest[],
  root: string,
): Promise<readonly Result<Made>[]> {
  const home = homeAt(root);
  using lock = exists(root) ? await lockFile(home.snapshotLock) : null;
  const found = findSnapshotRecord(home, snapshot);
  if (lock === null || found === null || !isMade(home, found)) {
    return requests.map(() => missingSnapshot(snapshot));
  }
  const { seed, layers, variables, network, limits } = found;
  const from = { seed, layers, variables, standsOn: snapshot };
  const claims: Result<Made>[] = [];
  for (const request of requests) {
    if (request.limits?.diskMb !== undefined) {
      claims.push(unlimitedDisk());
      continue;
    }
    const wishes = { ...request, network: request.network ?? network, limits: { ...limits } };
    for (const [name, value] of Object.entries(request.limits ?? {})) {
      if (value !== undefined) Object.assign(wishes.limits, { [name]: value });
    }
    claims.push(await orFailure(request.id, async () => begin(wishes, root, from)));
  }
  return claims;
}

/** A layer is a folder of the host's file system, which can hold each file of it at most. */
function unlimitedDisk(): Result<never> {
  return failureWith("workspace-unsupported", "a sandbox cannot limit the disk", {
    hint: "leave disk_mb out, or use a vm workspace",
  });
}

/** Takes the id, and writes down what is to come. */
function begin(
  { id, limits = {}, network = "allow" }: ForkRequest,
  root: string,
  from: Pick<SandboxRecord, "seed" | "layers" | "standsOn" | "variables">,
): Result<Made> {
  if (!isWorkspaceId(id)) return workspaceFailure(`"${id}" cannot be the id of a workspace`);
  const unresolved = homeAt(root);
  mkdirSync(unresolved.workspaces, { recursive: true });
  mkdirSync(unresolved.layers, { recursive: true });
  const home = homeAt(withoutLinks(root));
  const layout = sandboxAt(home, id);
  mkdirSync(layout.folder);
  const record: SandboxRecord = {
    version: 2,
    state: "making",
    wanted: "running",
    createdAt: timestamp(systemClock),
    ...from,
    generation: makeOwnLayer(layout),
    network,
    limits: { ...limits },
    hostname: hostnameOf(id),
    machineId: randomBytes(16).toString("hex"),
    forkedFrom: from.standsOn,
  };
  writeRecord(layout, record);
  return { ok: true, value: { place: { home, id, layout }, record } };
}

/** All of a sandbox or nothing of it, unless this process dies on the way. */
async function finish(
  { place, record }: Made,
  { removeTimeoutMs: timeoutMs }: Making,
  prepare: (place: SandboxPlace, record: SandboxRecord) => Promise<Result<void>>,
): Promise<Result<Made>> {
  const { layout, id } = place;
  const made = await orFailure<Made>(id, async () => {
    const cgroups = cgroupsOf(layout, record);
    if (record.limits.cpus !== undefined && !cgroups.held.has("cpu")) {
      return failureWith("workspace-unsupported", "this machine lets nobody hold cpus", {
        hint: "leave cpus out, or run where control groups can be made",
      });
    }
    if (record.seed !== null) {
      mkdirSync(layout.seed);
      writeSeedFiles(layout.seed, record.seed);
    }
    const prepared = await prepare(place, record);
    if (!prepared.ok) return prepared;
    const started = await startLocked(place, cgroups, { isNew: true });
    if (!started.ok) return started;
    const ready = { ...record, state: "ready" } as const;
    writeRecord(layout, ready);
    return { ok: true, value: { place, record: ready } };
  });
  if (!made.ok) await removeSandbox(place, { timeoutMs });
  return made;
}

function withoutLinks(root: string): string {
  return exists(root) ? realpathSync(root) : resolve(root);
}

/** At most 63 of small letters, digits and `-`. */
function hostnameOf(id: string): string {
  const slug = id
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  return slug.slice(0, 63).replace(/-+$/, "") || "sandbox";
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

/** The folders of all sandboxes, the root without links. */
export function homeOf(root: string): SandboxHome {
  return homeAt(withoutLinks(root));
}
