import { systemClock } from "./clock.ts";
import {
  carriesMarker,
  countPids,
  findProcess,
  isAlive,
  lastPid,
  listPids,
  listProcesses,
  type ProcessEntry,
} from "./process-table.ts";

/** What is known of a tree from its first process. */
export interface TreeRoot {
  /** The first process: its pid is the id of its group and of its session. */
  readonly pid: number;
  /** Its start as in the process table; `null` where it was gone before anyone looked. */
  readonly start: number | null;
  /** `NAME=value` in the environment of every process of the tree. */
  readonly marker: string | null;
  /** Monotonic milliseconds. */
  readonly startedAtMs: number;
}

/** How long killing goes on against processes that fork or do not die. */
const KILL_DEADLINE_MS = 5_000;
/** Looks follow each other after 5, 10, 20, 40 and then every 50 ms. */
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 50;
/** More than a busy machine starts: in a shorter time than this takes, pids do not wrap around. */
const PIDS_PER_MS_MAX = 40;
/** So many pids are asked for one by one: quicker than to list all that there are. */
const PIDS_ASKED_MAX = 16;

/**
 * Ends a whole tree: its process group and session, all descendants, and every process that
 * carries the marker, with theirs. SIGTERM, then SIGKILL after `graceMs`, again and again until
 * nothing is left, for a bounded time. Every process is named by pid and start, so that a recycled
 * pid is never hit. Answers how many processes there were.
 *
 * Not found: a process that left group, session and parent, and that also lost the marker (by
 * clearing or overwriting its environment, or because the system has no `/proc`).
 */
export function endTree(root: TreeRoot, graceMs: number): Promise<number> {
  return endAll((table, known) => treeOf(table, known, root), graceMs);
}

/**
 * Ends every process that carries `NAME=value` in its environment, and their descendants, at once
 * and for a bounded time; answers how many there were. Never ends this process or its ancestors.
 *
 * Off Linux the environment of other processes cannot be read: there, nothing is found, and 0 is
 * the answer.
 */
export function endMarkedProcesses(marker: string): Promise<number> {
  const root = { pid: 0, start: null, marker, startedAtMs: 0 };
  return endAll((table, known) => treeOf(table, known, root), 0);
}

/**
 * Sends a signal once to every process that carries `NAME=value` in its environment, and to their
 * descendants; answers how many there were. Where the answer is 0, nothing was there, or the
 * system does not show other processes' environments.
 */
export function signalMarkedProcesses(marker: string, signal: NodeJS.Signals): number {
  const table = listProcesses();
  const root = { pid: 0, start: null, marker, startedAtMs: 0 };
  const tree = treeOf(table, new Map(), root);
  sendSignal(table, tree, signal);
  return tree.length;
}

/**
 * Kills one process by its name for good, and waits until it is gone, for a bounded time. The first
 * process of a pid namespace takes all others in it along. Answers whether it was there.
 */
export async function endIdentified(pid: number, identity: string): Promise<boolean> {
  if (!isAlive(pid, identity)) return false;
  process.kill(pid, "SIGKILL");
  await poll(KILL_DEADLINE_MS, () => !isAlive(pid, identity));
  return true;
}

/**
 * Whether something of the tree is left after its first process ended. Quick, as it follows every
 * command: one system call for the group and, where there is a marker, a look at the processes
 * that started since. May err to both sides in rare cases: `endTree` looks closely, and
 * `endMarkedProcesses` looks at everything.
 */
export function mayHaveLeftovers(root: TreeRoot): boolean {
  return groupExists(root.pid) || (root.marker !== null && findMarkedSince(root, root.marker));
}

function groupExists(pid: number): boolean {
  try {
    process.kill(-pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Pids grow until they wrap, so those below the first process's are older than the command. */
function findMarkedSince(root: TreeRoot, marker: string): boolean {
  const newest = lastPid();
  const elapsedMs = systemClock.monotonic() - root.startedAtMs;
  const hasWrapped = newest < root.pid || elapsedMs * PIDS_PER_MS_MAX > countPids();
  const areFew = !hasWrapped && newest - root.pid < PIDS_ASKED_MAX;
  const pids = areFew ? pidsBetween(root.pid, newest) : listPids();
  return pids.some((pid) => {
    if (!hasWrapped && (pid < root.pid || pid > newest)) return false;
    const found = findProcess(pid);
    return found !== null && found.start >= (root.start ?? 0) && carriesMarker(pid, marker);
  });
}

function pidsBetween(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

type Known = Map<string, ProcessEntry>;
type Search = (table: readonly ProcessEntry[], known: Known) => readonly ProcessEntry[];

async function endAll(search: Search, graceMs: number): Promise<number> {
  const known: Known = new Map();
  const look = (signal: NodeJS.Signals | null): boolean => {
    const table = listProcesses();
    const tree = search(table, known);
    for (const entry of tree) known.set(nameOf(entry), entry);
    if (signal !== null) sendSignal(table, tree, signal);
    return tree.length === 0;
  };
  if (graceMs > 0) {
    if (look("SIGTERM")) return 0;
    await poll(graceMs, () => look(null));
  }
  await poll(KILL_DEADLINE_MS, () => look("SIGKILL"));
  return known.size;
}

/** Asks until the answer is yes or the time is over. */
async function poll(limitMs: number, isDone: () => boolean): Promise<void> {
  const deadline = systemClock.monotonic() + limitMs;
  let pauseMs = FIRST_PAUSE_MS;
  while (!isDone() && systemClock.monotonic() < deadline) {
    await systemClock.sleep(pauseMs);
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
}

function nameOf(entry: ProcessEntry): string {
  return `${entry.pid}@${entry.start}`;
}

function treeOf(
  table: readonly ProcessEntry[],
  known: Known,
  root: TreeRoot,
): readonly ProcessEntry[] {
  const spared = ownLine(table);
  const holdsRoot = isStillOurs(table, root);
  const isMember = (entry: ProcessEntry): boolean =>
    known.has(nameOf(entry)) ||
    (holdsRoot && (entry.group === root.pid || entry.session === root.pid)) ||
    (root.marker !== null &&
      entry.start >= (root.start ?? 0) &&
      carriesMarker(entry.pid, root.marker));
  return withDescendants(
    table,
    table.filter((entry) => !spared.has(entry.pid) && isMember(entry)),
  );
}

/** False once the pid stands for another process: its group is then not the tree's either. */
function isStillOurs(table: readonly ProcessEntry[], root: TreeRoot): boolean {
  if (root.pid === 0) return false;
  const holder = table.find((entry) => entry.pid === root.pid);
  return holder === undefined || root.start === null || holder.start === root.start;
}

/** This process and its ancestors, which may carry a marker of their own. */
function ownLine(table: readonly ProcessEntry[]): ReadonlySet<number> {
  const parents = new Map(table.map((entry) => [entry.pid, entry.parent]));
  const line = new Set<number>();
  let pid: number | undefined = process.pid;
  while (pid !== undefined && pid > 0 && !line.has(pid)) {
    line.add(pid);
    pid = parents.get(pid);
  }
  return line;
}

function withDescendants(
  table: readonly ProcessEntry[],
  members: readonly ProcessEntry[],
): readonly ProcessEntry[] {
  if (members.length === 0) return members;
  const children = Map.groupBy(table, (entry) => entry.parent);
  const tree = new Set<ProcessEntry>();
  const next = [...members];
  for (let entry = next.pop(); entry !== undefined; entry = next.pop()) {
    if (tree.has(entry)) continue;
    tree.add(entry);
    next.push(...(children.get(entry.pid) ?? []));
  }
  return [...tree];
}

/**
 * Whole groups at once, so that nothing in them can fork ahead of the signal, and the others one by
 * one; each is looked at once more right before.
 */
function sendSignal(
  table: readonly ProcessEntry[],
  tree: readonly ProcessEntry[],
  signal: NodeJS.Signals,
): void {
  const members = new Set(tree);
  const mixed = new Set(table.flatMap((entry) => (members.has(entry) ? [] : entry.group)));
  const reached = new Set<number>();
  for (const entry of tree) {
    if (reached.has(entry.group)) continue;
    const now = findProcess(entry.pid);
    if (now?.start !== entry.start) continue;
    const isWholeGroup = now.group === entry.group && !mixed.has(entry.group);
    if (isWholeGroup) reached.add(entry.group);
    try {
      process.kill(isWholeGroup ? -entry.group : entry.pid, signal);
    } catch {
      // Gone in between, or another user's: there is nothing more to be done about it.
    }
  }
}
