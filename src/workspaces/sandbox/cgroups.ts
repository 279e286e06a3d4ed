import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { writeFile as writeFileLater } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../lib/clock.ts";
import { exists } from "../local-layout.ts";
import { codeOf } from "../workspace-failure.ts";
import type { WorkspaceLimits } from "../workspace.ts";

/** A place in a tree of control groups where this process may make groups of its own. */
interface Hierarchy {
  readonly version: 1 | 2;
  readonly folder: string;
  /** Those that hold limits there. */
  readonly controllers: readonly string[];
}

/** The control groups of one sandbox: limits that hold for all of it, and trees that are surely ended. */
export interface SandboxCgroups {
  /** Which of `cpu`, `memory` and `pids` are held; what is not must be held otherwise, or is not. */
  readonly held: ReadonlySet<string>;
  /** Whether commands have groups of their own. Where not, one that hides well may outlive its end. */
  readonly tracksCommands: boolean;
  /** Puts a process that belongs to no command into all groups, and all that it starts from then on. */
  add(pid: number): Promise<void>;
  /** Makes a group for one command and answers the files to write `0` to, to be in all groups. */
  enter(commandId: string): readonly string[];
  /** The pids in a command's group. */
  members(commandId: string): readonly number[];
  /** Ends everything in a command's group, whatever it did to hide, and removes the group. */
  end(commandId: string): Promise<void>;
  /** Ends everything in all groups, and removes them. */
  remove(): Promise<void>;
}

const CONTROLLERS = ["cpu", "memory", "pids"];
const OWN_FOLDER = "mycelium";
const CPU_PERIOD_US = 100_000;
const KILL_DEADLINE_MS = 5_000;
const KILL_PAUSE_MS = 5;

/**
 * Finds the control groups for a sandbox of this name; makes them where `limits` are given.
 *
 * Groups are made only below the root of a hierarchy or, of version 2, below this process's own
 * group. Any other group belongs to whoever put this process there, with limits of its own that
 * must not be left.
 */
export function openCgroups(name: string, limits: WorkspaceLimits | null): SandboxCgroups {
  const hierarchies = findHierarchies();
  const first = hierarchies.find(({ version }) => version === 2) ?? hierarchies[0];
  // To join a group takes milliseconds: those that would hold nothing are left out.
  const groups = hierarchies.flatMap((hierarchy) => {
    const folder = join(hierarchy.folder, OWN_FOLDER, name);
    if (limits === null) return [{ ...hierarchy, folder }];
    const isOfUse = hierarchy === first || canHold(hierarchy, limits);
    return isOfUse && makeGroup(hierarchy, folder) ? [{ ...hierarchy, folder }] : [];
  });
  const held = new Set<string>();
  for (const group of groups) if (limits !== null) setLimits(group, limits, held);
  const tracking = groups.find(({ version }) => version === 2) ?? groups[0];
  const commandFolder = (commandId: string): string => join(tracking?.folder ?? "", commandId);
  return {
    held,
    tracksCommands: tracking !== undefined,
    add: async (pid) => {
      for (const { folder } of groups) {
        await writeFileLater(join(folder, "cgroup.procs"), String(pid));
      }
    },
    enter: (commandId) => {
      if (tracking === undefined) return [];
      mkdirSync(commandFolder(commandId));
      const folders = groups.map((group) =>
        group === tracking ? commandFolder(commandId) : group.folder,
      );
      return folders.map((folder) => join(folder, "cgroup.procs"));
    },
    members: (commandId) => (tracking === undefined ? [] : pidsIn(commandFolder(commandId))),
    end: async (commandId) => {
      if (tracking !== undefined) await endGroup(commandFolder(commandId));
    },
    remove: async () => {
      for (const { folder } of groups) await removeGroups(folder);
    },
  };
}

let known: readonly Hierarchy[] | null = null;

function findHierarchies(): readonly Hierarchy[] {
  known ??= readHierarchies();
  return known;
}

/** Lines of `/proc/self/cgroup` are `number:controllers:path`; without controllers it is version 2. */
function readHierarchies(): readonly Hierarchy[] {
  const mounts = readText("/proc/self/mountinfo").split("\n");
  return readText("/proc/self/cgroup")
    .split("\n")
    .flatMap((line): readonly Hierarchy[] => {
      const [, , names, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
      if (names === undefined || path === undefined) return [];
      const version = names === "" ? 2 : 1;
      const wanted = names.split(",").filter((entry) => CONTROLLERS.includes(entry));
      const mount = findMount(mounts, names);
      if (mount === null || (version === 1 && (path !== "/" || wanted.length === 0))) return [];
      const found = { version, folder: join(mount, path), controllers: wanted } as const;
      return prepare(found);
    });
}

/** A mount's line ends in ` - TYPE SOURCE OPTIONS`; its fifth field is where it is mounted. */
function findMount(mounts: readonly string[], names: string): string | null {
  for (const line of mounts) {
    const [before, after] = line.split(" - ");
    const [type, , options] = after?.split(" ") ?? [];
    const matches =
      names === ""
        ? type === "cgroup2"
        : type === "cgroup" && names.split(",").every((name) => options?.split(",").includes(name));
    const fields = before?.split(" ") ?? [];
    if (matches && fields[3] === "/") return fields[4] ?? null;
  }
  return null;
}

/** Empty where this process may not make groups there. */
function prepare(hierarchy: Hierarchy): readonly Hierarchy[] {
  const folder = join(hierarchy.folder, OWN_FOLDER);
  if (!tries(() => mkdirSync(folder, { recursive: true }))) return [];
  // Another user may have made it.
  if (!tries(() => accessSync(folder, constants.W_OK))) return [];
  if (hierarchy.version === 1) return [hierarchy];
  const controllers = CONTROLLERS.filter((name) =>
    [hierarchy.folder, folder].every((at) =>
      tries(() => writeFileSync(join(at, "cgroup.subtree_control"), `+${name}`)),
    ),
  );
  return [{ ...hierarchy, controllers }];
}

function makeGroup({ folder: parent }: Hierarchy, folder: string): boolean {
  return tries(() => {
    mkdirSync(join(parent, OWN_FOLDER), { recursive: true });
    mkdirSync(folder, { recursive: true });
  });
}

function canHold({ controllers }: Hierarchy, { cpus, memoryMb, pids }: WorkspaceLimits): boolean {
  const wanted = { cpu: cpus, memory: memoryMb, pids };
  return Object.entries(wanted).some(
    ([controller, limit]) => limit !== undefined && controllers.includes(controller),
  );
}

function setLimits(group: Hierarchy, limits: WorkspaceLimits, held: Set<string>): void {
  const { version, folder, controllers } = group;
  const set = (controller: string, values: readonly (readonly [string, string])[]): void => {
    if (!controllers.includes(controller)) return;
    const isSet = values.every(([file, value]) =>
      tries(() => writeFileSync(join(folder, file), value)),
    );
    if (isSet) held.add(controller);
  };
  const { pids, memoryMb, cpus } = limits;
  if (pids !== undefined) set("pids", [["pids.max", String(pids)]]);
  if (memoryMb !== undefined) {
    const bytes = String(Math.floor(memoryMb * 1024 * 1024));
    set("memory", [[version === 2 ? "memory.max" : "memory.limit_in_bytes", bytes]]);
    if (version === 2) tries(() => writeFileSync(join(folder, "memory.swap.max"), "0"));
  }
  if (cpus !== undefined) {
    const quota = String(Math.max(1000, Math.floor(cpus * CPU_PERIOD_US)));
    const value = version === 2 ? `${quota} ${CPU_PERIOD_US}` : quota;
    set("cpu", [[version === 2 ? "cpu.max" : "cpu.cfs_quota_us", value]]);
  }
}

async function endGroup(folder: string): Promise<void> {
  const deadline = systemClock.monotonic() + KILL_DEADLINE_MS;
  while (exists(folder) && !tries(() => rmdirSync(folder))) {
    if (systemClock.monotonic() > deadline) return;
    if (!tries(() => writeFileSync(join(folder, "cgroup.kill"), "1"))) killEach(folder);
    await systemClock.sleep(KILL_PAUSE_MS);
  }
}

function killEach(folder: string): void {
  for (const pid of pidsIn(folder)) tries(() => process.kill(pid, "SIGKILL"));
}

function pidsIn(folder: string): readonly number[] {
  const lines = readText(join(folder, "cgroup.procs")).split("\n");
  return lines.flatMap((line) => (/^[1-9]\d*$/.test(line) ? Number(line) : []));
}

/** Whoever waited outside for what ran inside may take a moment longer to go. */
async function removeGroups(folder: string): Promise<void> {
  if (!exists(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await endGroup(join(folder, entry.name));
  }
  await endGroup(folder);
}

/** False where the system refuses. */
function tries(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return false;
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return "";
  }
}
