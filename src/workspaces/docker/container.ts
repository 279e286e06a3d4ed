import { randomBytes } from "node:crypto";
import type { ContainerCreateOptions } from "dockerode";
import type { WorkspaceRecord } from "./record.ts";
import { agentEntries } from "./guest-pool.ts";
import { GUEST, LABELS } from "./layout.ts";
import { tarOf, type TarEntry } from "./tar.ts";

const MEGABYTE = 1024 * 1024;

/** What a workspace gets that says nothing. */
export const DEFAULT_LIMITS = { memoryMb: 4096, pids: 2048 } as const;

/**
 * The first process takes in whoever loses its parent, and nothing more. It is the root's, so that
 * no command can end it. A user that the image does not know gets a name.
 */
const FIRST_PROCESS = `
$SIG{CHLD} = 'IGNORE';
$SIG{TERM} = $SIG{INT} = sub { exit 0 };
if (!getpwuid(${GUEST.uid})) {
  open(my $users, '>>', '/etc/passwd')
    and print $users "${GUEST.user}:x:${GUEST.uid}:${GUEST.gid}::${GUEST.home}:/bin/sh\\n";
}
sleep while 1;
`;

/** What the agent needs to start commands as somebody else, and to end them. */
const AGENTS_CAPABILITIES = ["CHOWN", "KILL", "SETGID", "SETUID"];

/** How the engine is to make the container of a workspace. */
export function containerOptions(
  record: WorkspaceRecord,
  place: { readonly home: string; readonly name: string },
): ContainerCreateOptions {
  const memory = (record.limits.memoryMb ?? DEFAULT_LIMITS.memoryMb) * MEGABYTE;
  const { cpus } = record.limits;
  return {
    name: place.name,
    Image: record.image,
    Hostname: record.hostname,
    Labels: { [LABELS.home]: place.home, [LABELS.workspace]: record.id },
    Entrypoint: ["perl", "-e", FIRST_PROCESS],
    Cmd: [],
    User: "0:0",
    WorkingDir: "/",
    StopTimeout: 2,
    HostConfig: {
      NetworkMode: record.network === "none" ? "none" : "bridge",
      Memory: memory,
      // No more with swap than without.
      MemorySwap: memory,
      ...(cpus === undefined ? {} : { NanoCpus: Math.round(cpus * 1e9) }),
      PidsLimit: record.limits.pids ?? DEFAULT_LIMITS.pids,
      CapDrop: ["ALL"],
      CapAdd: AGENTS_CAPABILITIES,
      SecurityOpt: ["no-new-privileges"],
      RestartPolicy: { Name: "no" },
      Tmpfs: { "/run": "rw,nosuid,nodev,size=64m,mode=755" },
      LogConfig: { Type: "json-file", Config: { "max-size": "1m", "max-file": "1" } },
    },
  };
}

/** What is put into a container before it starts: the agent, folders of its user, its own identity. */
export function firstFiles(): Buffer {
  const folders = [GUEST.root, GUEST.repository, GUEST.context, GUEST.temporary, GUEST.home];
  const { uid, gid } = GUEST;
  const entries = folders.map((path): TarEntry => ({ path: `${path.slice(1)}/`, mode: 0o755, uid, gid }));
  return tarOf([...entries, ...agentEntries(), ...identityEntries()]);
}

/** What must be another's in every container. */
export function identityEntries(): readonly TarEntry[] {
  const content = `${randomBytes(16).toString("hex")}\n`;
  return [{ path: "etc/machine-id", content, mode: 0o444, uid: 0, gid: 0 }];
}
