import { createHash } from "node:crypto";
import { readdirSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import { tryLockFile, type FileLock } from "../../lib/file-lock.ts";
import { endIdentified, endMarkedProcesses, isAlive } from "../../lib/process.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import { objectFolders } from "./base-layer.ts";
import { openCgroups, type SandboxCgroups } from "./cgroups.ts";
import type { SandboxHome, SandboxLayout } from "./layout.ts";
import { settleSnapshot } from "./snapshot-files.ts";
import {
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

/** Nobody starts a sandbox while this is held. `null` where somebody else holds it for too long. */
export async function lockStart(layout: SandboxLayout): Promise<FileLock | null> {
  const path = join(layout.folder, "start.lock");
  const deadline = systemClock.monotonic() + LOCK_TIMEOUT_MS;
  for (;;) {
    const lock = tryLockFile(path);
    if (lock !== null || systemClock.monotonic() > deadline) return lock;
    await systemClock.sleep(LOCK_PAUSE_MS);
  }
}

const LOCK_TIMEOUT_MS = 30_000;
const LOCK_PAUSE_MS = 10;

/** Its init and the program that init waits for. */
const OWN_PROCESSES = 2;

/** The sandbox's namespaces, started where nobody holds them. Several processes may ask at once. */
export async function ensureRunning(
  place: SandboxPlace,
  cgroups: SandboxCgroups,
): Promise<Result<RunningRecord>> {
  const before = findRunning(place.layout);
  if (before !== null) return { ok: true, value: before };
  const lock = await lockStart(place.layout);
  if (lock === null) return workspaceFailure(`${place.id} is being started by somebody else`);
  try {
    const now = findRunning(place.layout);
    return now === null ? await start(place, cgroups) : { ok: true, value: now };
  } finally {
    lock[Symbol.dispose]();
  }
}

async function start(
  { home, layout, id }: SandboxPlace,
  cgroups: SandboxCgroups,
): Promise<Result<RunningRecord>> {
  // Two sandboxes on one upper layer would spoil it, so that nobody may be left of an earlier start.
  await endMarkedProcesses(sandboxMarker(layout.folder));
  settleSnapshot(home, id);
  const record = readRecord(layout);
  if (record === null) return workspaceFailure(`${id} is not there any more`);
  const folder = `workspaces/${id}`;
  const [first, ...others] = record.layers.map((name) => `layers/${name}`);
  if (first === undefined) return workspaceFailure(`${id} stands on no layer`);
  const started = await startSandbox(
    {
      root: home.root,
      tree: {
        kind: "layers",
        lower: [first, ...others],
        upper: `${folder}/upper`,
        work: `${folder}/work`,
      },
      etc: `${folder}/etc`,
      seedFiles: record.seed === null ? null : `${folder}/seed`,
      objects: record.seed === null ? [] : objectFolders(record.seed.gitDir),
      hostname: record.hostname,
      network: record.network,
      groups: cgroups.join(),
    },
    layout,
  );
  if (started.ok) writeRunning(layout, started.value);
  return started;
}

/** Who holds the namespaces now, or `null`. */
export function findRunning(layout: SandboxLayout): RunningRecord | null {
  const running = readRunning(layout);
  return running !== null && isAlive(running.initPid, running.initIdentity) ? running : null;
}

/**
 * Ends everything that runs in a sandbox, also where its start was never recorded, and answers how
 * many processes there were beside its own.
 */
export async function endSandbox(layout: SandboxLayout): Promise<number> {
  const running = findRunning(layout);
  let count = 0;
  if (running !== null) {
    count = countOthers(running);
    await endIdentified(running.initPid, running.initIdentity);
  }
  await endMarkedProcesses(sandboxMarker(layout.folder));
  rmSync(layout.running, { force: true });
  return count;
}

/** How many processes there are in a running sandbox, beside its own. */
export function countOthers(running: RunningRecord): number {
  return Math.max(0, countMembers(running.initPid) - OWN_PROCESSES);
}

function countMembers(initPid: number): number {
  const namespace = namespaceOf(String(initPid));
  if (namespace === null) return 0;
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => namespaceOf(pid) === namespace).length;
}

function namespaceOf(pid: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return null;
  }
}

/** The control groups of a sandbox; `null` finds those that are there. */
export function cgroupsOf(layout: SandboxLayout, record: SandboxRecord | null): SandboxCgroups {
  const name = createHash("sha256").update(layout.folder).digest("hex").slice(0, 32);
  return openCgroups(name, record?.limits ?? null);
}
