import { bind, memory, seal, terminals, type StageStep } from "./stage-program.ts";

const SHARED_MEMORY_BYTES = 256 * 1024 * 1024;
/** Each takes some of the kernel's memory, empty ones too. */
const SHARED_MEMORY_FILES = 65_536;
const DEVICES = ["full", "null", "random", "tty", "urandom", "zero"];
const LINKS = {
  core: "/proc/kcore",
  fd: "/proc/self/fd",
  ptmx: "pts/ptmx",
  stderr: "/proc/self/fd/2",
  stdin: "/proc/self/fd/0",
  stdout: "/proc/self/fd/1",
} as const;

/** A `/dev` with the harmless devices alone, terminals and shared memory of its own. */
export function stageDevices(folder: string): readonly StageStep[] {
  return [
    ["folder", folder],
    memory(folder, "mode=755,size=64k"),
    ...DEVICES.flatMap((name): readonly StageStep[] => [
      ["write", "", `${folder}/${name}`],
      bind(`/dev/${name}`, `${folder}/${name}`),
    ]),
    ...Object.entries(LINKS).map(([name, to]): StageStep => ["link", to, `${folder}/${name}`]),
    ["folder", `${folder}/pts`],
    terminals(`${folder}/pts`),
    ["folder", `${folder}/shm`],
    memory(
      `${folder}/shm`,
      `mode=1777,size=${SHARED_MEMORY_BYTES},nr_inodes=${SHARED_MEMORY_FILES}`,
    ),
    seal(folder),
  ];
}
