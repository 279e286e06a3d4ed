import { randomBytes, randomUUID } from "node:crypto";
import type { ContainerCreateOptions } from "dockerode";
import type { WorkspaceRecord } from "./record.ts";
import { READY } from "./guest-agent.ts";
import { agentEntries } from "./guest-pool.ts";
import { GUEST, LABELS } from "./layout.ts";
import { tarOf, type TarEntry } from "./tar.ts";

const MEGABYTE = 1024 * 1024;

/** What a workspace gets that says nothing. */
export const DEFAULT_LIMITS = { memoryMb: 4096, pids: 2048 } as const;

/**
 * The first process gives the container its own identity, which no fork may have from its parent,
 * says that it is done, and then takes in whoever loses its parent. It is the root's, so that no
 * command can end it. A user that the image does not know gets a name.
 */
const FIRST_PROCESS = `
$SIG{CHLD} = 'IGNORE';
$SIG{TERM} = $SIG{INT} = sub { exit 0 };
if (!getpwuid(${GUEST.uid})) {
  write_line('>>', '/etc/passwd', "${GUEST.user}:x:${GUEST.uid}:${GUEST.gid}::${GUEST.home}:/bin/sh");
}
unlink '/etc/machine-id';
write_line('>', '/etc/machine-id', $ARGV[0]);
mkdir '${READY}';
sleep while 1;

sub write_line {
  my ($mode, $path, $line) = @_;
  open(my $file, $mode, $path) or return;
  print $file "$line\\n";
  close $file;
}
`;

/** What the agent needs to start commands as somebody else, and to end them. */
const AGENTS_CAPABILITIES = ["CHOWN", "KILL", "SETGID", "SETUID"];

/** How the engine is to make the container of a workspace. */
export function containerOptions(
  record: WorkspaceRecord,
  place: { readonly home: string; readonly name: string },
): ContainerCreateOptions & { readonly name: string } {
  const memory = (record.limits.memoryMb ?? DEFAULT_LIMITS.memoryMb) * MEGABYTE;
  const { cpus } = record.limits;
  return {
    name: place.name,
    Image: record.image,
    Hostname: record.hostname,
    Labels: {
      [LABELS.home]: place.home,
      [LABELS.workspace]: record.id,
      [LABELS.mark]: randomUUID(),
    },
    Entrypoint: ["perl", "-e", FIRST_PROCESS, randomBytes(16).toString("hex")],
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

/** What is put into a container before it starts: the agent, and the folders of its user. */
export function firstFiles(): Buffer {
  const folders = [GUEST.repository, GUEST.home, GUEST.context, GUEST.temporary];
  const { uid, gid } = GUEST;
  const entries = folders.map((path): TarEntry => ({
    path: `${path.slice(1)}/`,
    mode: 0o755,
    uid,
    gid,
  }));
  return tarOf([...entries, ...agentEntries()]);
}
