import { readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { systemClock } from "../../lib/clock.ts";
import { codeOf } from "../workspace-failure.ts";
import type { SandboxLayout } from "./layout.ts";
import type { RunningRecord } from "./record.ts";

/** The program that a sandbox's first process waits for, beside itself. */
const OWN_PROGRAM = "sleep\x0086400\0";
const HOLD_ROUNDS_MAX = 50;
const HOLD_PAUSE_MS = 5;
const QUIET_LOOKS = 3;

interface Member {
  readonly pid: number;
  readonly parent: number;
  readonly isHeld: boolean;
}

/** The pids, as the host counts them, of all that runs in a sandbox beside its own two processes. */
export function membersOf(running: RunningRecord): readonly number[] {
  return listMembers(running).map(({ pid }) => pid);
}

/**
 * Stops every process in a sandbox until nothing moves, for a bounded time: what forks faster than
 * that is held in part. Goes on with `releaseHeld`, which another process may do.
 */
export async function hold(layout: SandboxLayout, running: RunningRecord): Promise<void> {
  writeFileSync(layout.held, "");
  for (let round = 0; round < HOLD_ROUNDS_MAX; round += 1) {
    const moving = listMembers(running).filter(({ isHeld }) => !isHeld);
    if (moving.length === 0) return;
    for (const { pid } of moving) signal(pid, "SIGSTOP");
    await systemClock.sleep(HOLD_PAUSE_MS);
  }
}

/**
 * Lets them go on. Who waits for them outside stops with them, a moment later than they do, and must
 * go on as well: it is looked after until nobody stopped for some looks.
 */
export async function releaseHeld(layout: SandboxLayout, running: RunningRecord): Promise<void> {
  let quiet = 0;
  for (let round = 0; round < HOLD_ROUNDS_MAX && quiet < QUIET_LOOKS; round += 1) {
    if (round > 0) await systemClock.sleep(HOLD_PAUSE_MS);
    const members = listMembers(running);
    const outside = members.flatMap(({ parent }) =>
      parent <= 1 || members.some(({ pid }) => pid === parent) ? [] : (look(parent) ?? []),
    );
    const held = [...members, ...outside].filter(({ isHeld }) => isHeld);
    for (const { pid } of held) signal(pid, "SIGCONT");
    quiet = held.length === 0 ? quiet + 1 : 0;
  }
  rmSync(layout.held, { force: true });
}

/** Signals processes in a sandbox that stand for themselves: each by a look at where it runs. */
export function signalMembers(
  running: RunningRecord,
  pids: readonly number[],
  name: NodeJS.Signals,
): void {
  const namespace = namespaceOf(running.initPid);
  for (const pid of pids) if (namespaceOf(pid) === namespace) signal(pid, name);
}

function listMembers({ initPid }: RunningRecord): readonly Member[] {
  const namespace = namespaceOf(initPid);
  if (namespace === null) return [];
  const pids = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? Number(name) : []));
  return pids.flatMap((pid) => {
    if (pid === initPid || namespaceOf(pid) !== namespace) return [];
    const member = look(pid);
    const isOwn = member?.parent === initPid && read(`/proc/${pid}/cmdline`) === OWN_PROGRAM;
    return member === null || isOwn ? [] : member;
  });
}

/** After the name in brackets, which may hold anything, come the state and the parent. */
function look(pid: number): Member | null {
  const stat = read(`/proc/${pid}/stat`);
  const [state, parent] = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  if (state === undefined || state === "Z" || state === "X") return null;
  return { pid, parent: Number(parent), isHeld: state === "T" || state === "t" };
}

function namespaceOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return null;
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return null;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    // It is gone already, or became another user's.
    if (codeOf(error) === "") throw error;
  }
}
