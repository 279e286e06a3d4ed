import { createHash } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { lockFile, tryLockFile } from "../../lib/file-lock.ts";
import { endIdentified, endMarkedProcesses, isAlive } from "../../lib/process.ts";
import { appendEvent } from "../event-log.ts";
import { exists } from "../local-layout.ts";
import { closePortsOf } from "../ports/open-ports.ts";
import { removeFolder } from "../remove-folder.ts";
import { failureWith, workspaceFailure } from "../workspace-failure.ts";
import { objectFolders } from "./base-layer.ts";
import { openCgroups, type SandboxCgroups } from "./cgroups.ts";
import { membersOf, releaseHeld } from "./members.ts";
import { isOwnLayer, ownLayer, type SandboxHome, type SandboxLayout } from "./layout.ts";
import { settleSnapshot } from "./snapshot-files.ts";
import {
  limitsOf,
  readRecord,
  readRunning,
  writeRunning,
  type RunningRecord,
  type SandboxRecord,
} from "./record.ts";
import { sandboxMarker, startSandbox } from "./start.ts";

export interface SandboxPlace {
  readonly home: SandboxHome;
  readonly id: string;
  readonly layout: SandboxLayout;
}

const REMOVE_TIMEOUT_MS = 300_000;

/** Lets one at a time change a sandbox, also of other processes. */
export async function changing<T>(
  { id, layout }: SandboxPlace,
  change: () => Promise<Result<T>> | Result<T>,
): Promise<Result<T>> {
  if (!exists(layout.folder)) return missing(id);
  using lock = await lockFile(layout.lock);
  if (lock !== null) return await change();
  return exists(layout.folder)
    ? workspaceFailure(`another process is changing ${id}`)
    : missing(id);
}

export function missing(id: string): Result<never> {
  return failureWith("workspace-missing", `there is no workspace ${id} any more`);
}

/** Its record, where it is whole and nobody stopped it. */
export function wantedRunning({ id, layout }: SandboxPlace): Result<SandboxRecord> {
  const record = readRecord(layout);
  if (record === null || record.state === "removing") return missing(id);
  if (record.wanted === "running") return { ok: true, value: record };
  return failureWith("workspace-stopped", `VM must be Running: ${id} is stopped`, {
    hint: `\`mycelium workspace start ${id}\``,
  });
}

/**
 * The sandbox's namespaces, started where nobody holds them, unless it was stopped on purpose.
 * Several processes may ask at once.
 */
export async function ensureRunning(
  place: SandboxPlace,
  cgroups: SandboxCgroups,
): Promise<Result<RunningRecord>> {
  const wanted = wantedRunning(place);
  if (!wanted.ok) return wanted;
  const before = findRunning(place.layout);
  if (before !== null) {
    await releaseAbandoned(place.layout, before);
    return { ok: true, value: before };
  }
  return changing(place, async () => {
    const record = wantedRunning(place);
    if (!record.ok) return record;
    const now = findRunning(place.layout);
    return now === null ? startLocked(place, cgroups) : { ok: true, value: now };
  });
}

/** Who snapshots a busy sandbox holds its processes, and may have been killed meanwhile. */
async function releaseAbandoned(layout: SandboxLayout, running: RunningRecord): Promise<void> {
  if (!exists(layout.held)) return;
  using lock = tryLockFile(layout.lock);
  if (lock !== null) await releaseHeld(layout, running);
}

/** Starts what does not run. The sandbox's lock is held, or nobody else knows of it. */
export async function startLocked(
  place: SandboxPlace,
  cgroups: SandboxCgroups,
  { isNew = false }: { readonly isNew?: boolean } = {},
): Promise<Result<RunningRecord>> {
  const { home, layout, id } = place;
  if (!isNew) {
    // Two sandboxes on one layer would spoil it, so that nobody may be left of an earlier start.
    await endSandbox(layout);
    settleSnapshot(home, id);
    await removeGivenUp(layout);
  }
  const record = readRecord(layout);
  if (record === null) return missing(id);
  const [first, ...others] = record.layers.map((name) => `layers/${name}`);
  if (first === undefined) return workspaceFailure(`${id} stands on no layer`);
  const folder = `workspaces/${id}`;
  const own = ownLayer({ folder }, record.generation);
  const started = await startSandbox(
    {
      root: home.root,
      tree: { kind: "layers", lower: [first, ...others], ...own },
      seedFiles: record.seed === null ? null : `${folder}/seed`,
      objects: record.seed === null ? [] : objectFolders(record.seed.gitDir),
      hostname: record.hostname,
      machineId: record.machineId,
      network: record.network,
    },
    { ...layout, join: (pid) => cgroups.add(pid) },
  );
  crashPoint("sandbox.started");
  if (started.ok) writeRunning(layout, started.value);
  else appendEvent(layout.log, `did not start: ${started.failure.message}`);
  return started;
}

/** Own layers of which the record knows nothing any more. */
async function removeGivenUp(layout: SandboxLayout): Promise<void> {
  const record = readRecord(layout);
  if (record === null) return;
  const { upper, work } = ownLayer(layout, record.generation);
  for (const name of readdirSync(layout.folder).filter(isOwnLayer)) {
    const path = join(layout.folder, name);
    if (path !== upper && path !== work) await removeFolder(path, REMOVE_TIMEOUT_MS);
  }
}

/** Who holds the namespaces now, or `null`: without who waits for it outside, it is as good as gone. */
export function findRunning(layout: SandboxLayout): RunningRecord | null {
  const running = readRunning(layout);
  if (running === null || !isAlive(running.initPid, running.initIdentity)) return null;
  return isAlive(running.monitorPid, running.monitorIdentity) ? running : null;
}

/**
 * Ends everything that runs in a sandbox or for it, also where its start was never recorded, and
 * answers how many processes there were beside its own.
 */
export async function endSandbox(layout: SandboxLayout): Promise<number> {
  const running = readRunning(layout);
  let count = 0;
  if (running !== null && isAlive(running.initPid, running.initIdentity)) {
    count = membersOf(running).length;
    await endIdentified(running.initPid, running.initIdentity);
  }
  await endMarkedProcesses(sandboxMarker(layout.folder));
  await closePortsOf(layout.folder);
  rmSync(layout.running, { force: true });
  rmSync(layout.held, { force: true });
  return count;
}

/** The control groups of a sandbox; `null` finds those that are there. */
export function cgroupsOf(layout: SandboxLayout, record: SandboxRecord | null): SandboxCgroups {
  const name = createHash("sha256").update(layout.folder).digest("hex").slice(0, 32);
  return openCgroups(name, record === null ? null : limitsOf(record));
}
