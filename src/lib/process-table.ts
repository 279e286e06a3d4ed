import { execFileSync } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";

/** One living process. Zombies are not in the table: nothing of theirs can run any more. */
export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** 0 where the system does not tell. */
  readonly session: number;
  /**
   * When it started, in the system's own unit. With the pid it names one process for good: a
   * recycled pid has another start.
   */
  readonly start: number;
}

const HAS_PROC = process.platform === "linux";
const PS_TIMEOUT_MS = 5_000;
const PS_OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** Every process that this one can see; costs about 15 µs a process on Linux. */
export function listProcesses(): readonly ProcessEntry[] {
  if (!HAS_PROC) return readPs(["-A"]);
  return listPids().flatMap((pid) => findProcess(pid) ?? []);
}

/** One process, or `null` where it is not alive. */
export function findProcess(pid: number): ProcessEntry | null {
  if (!HAS_PROC) return readPs(["-p", String(pid)])[0] ?? null;
  const stat = readSmall(`/proc/${pid}/stat`);
  return stat === null ? null : parseStat(pid, stat);
}

/**
 * The start of a process that was just made, or `null` where asking would cost more than making it
 * did: off Linux.
 */
export function startOf(pid: number): number | null {
  return HAS_PROC ? (findProcess(pid)?.start ?? null) : null;
}

/**
 * Pids, from the kernel's list alone. Off Linux there are none: what needs the environment of
 * other processes cannot be had there.
 */
export function listPids(): readonly number[] {
  if (!HAS_PROC) return [];
  return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? Number(name) : []));
}

/** The pid that was given out last, or 0 where the system does not tell. */
export function lastPid(): number {
  const load = HAS_PROC ? readSmall("/proc/loadavg") : null;
  const last = Number(load?.trim().split(" ").at(-1));
  return Number.isSafeInteger(last) ? last : 0;
}

/**
 * Whether `NAME=value` stands in the environment that the process was started with. False for
 * processes of other users, for those that wrote over their environment, and off Linux.
 */
export function carriesMarker(pid: number, marker: string): boolean {
  if (!HAS_PROC) return false;
  try {
    const environment = readFileSync(`/proc/${pid}/environ`);
    const wanted = Buffer.from(`${marker}\0`);
    for (
      let at = environment.indexOf(wanted);
      at !== -1;
      at = environment.indexOf(wanted, at + 1)
    ) {
      if (at === 0 || environment[at - 1] === 0) return true;
    }
    return false;
  } catch {
    return false;
  }
}

let pidMax: number | null = null;

/** How many pids there are before they start again from the bottom; 0 where nobody tells. */
export function countPids(): number {
  pidMax ??= (HAS_PROC && Number(readSmall("/proc/sys/kernel/pid_max"))) || 0;
  return pidMax;
}

let bootId: string | null = null;

/**
 * Names one process for good, over reboots too, or `null` where no such process is alive. Other
 * machines and other pid namespaces are not seen.
 */
export function processIdentity(pid: number): string | null {
  const found = findProcess(pid);
  if (found === null) return null;
  bootId ??= (HAS_PROC && readSmall("/proc/sys/kernel/random/boot_id")?.trim()) || "no-boot-id";
  return `${found.start}@${bootId}`;
}

/** Whether the process that once had this identity still lives. */
export function isAlive(pid: number, identity: string): boolean {
  return processIdentity(pid) === identity;
}

const scratch = Buffer.alloc(4096);

/** The first 4 KiB of a kernel file; reading into one buffer is what makes a scan quick. */
function readSmall(path: string): string | null {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return null;
  }
  try {
    return scratch.toString("latin1", 0, readSync(file, scratch, 0, scratch.length, 0));
  } catch {
    return null;
  } finally {
    closeSync(file);
  }
}

/** Fields are counted from behind the command's name, which may hold spaces and brackets. */
function parseStat(pid: number, stat: string): ProcessEntry | null {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, parent, group, session] = fields;
  // A main thread that ended before the others is shown as a zombie, though the process lives.
  const isDead = (state === "Z" || state === "X") && Number(fields[17]) <= 1;
  if (isDead || fields.length < 20) return null;
  return {
    pid,
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
    start: Number(fields[19]),
  };
}

/** The same table by `ps`, for systems without `/proc`; starts are in whole seconds there. */
function readPs(selection: readonly string[]): readonly ProcessEntry[] {
  try {
    const text = execFileSync("ps", [...selection, "-o", "pid=,ppid=,pgid=,stat=,lstart="], {
      encoding: "utf8",
      env: { LC_ALL: "C", TZ: "UTC", PATH: "/bin:/usr/bin" },
      stdio: ["ignore", "pipe", "ignore"],
      timeout: PS_TIMEOUT_MS,
      maxBuffer: PS_OUTPUT_BYTES_MAX,
    });
    return parsePs(text);
  } catch {
    return [];
  }
}

/** Lines of `pid=,ppid=,pgid=,stat=,lstart=`. */
export function parsePs(text: string): readonly ProcessEntry[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line);
    if (match === null || match[4]?.startsWith("Z") === true) return [];
    const [, pid, parent, group] = match.map(Number) as [number, number, number, number];
    return [{ pid, parent, group, session: 0, start: Date.parse(`${match[5]} UTC`) }];
  });
}
