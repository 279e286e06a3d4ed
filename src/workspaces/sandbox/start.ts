import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { processIdentity, startDaemon } from "../../lib/process.ts";
import type { Result } from "../../domain/failure.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import type { WorkspaceNetwork } from "../workspace.ts";
import { HOST_PATH } from "./host-path.ts";
import { etcArguments, toolArguments } from "./host-view.ts";
import { INSIDE, INSIDE_UID } from "./layout.ts";
import { outsideUser } from "./outside-user.ts";
import type { RunningRecord } from "./record.ts";

/**
 * A start happens in a mount namespace of its own, where this folder is covered by an empty one that
 * holds what the sandbox is put together from. Nothing of it is mounted for anyone else, so nothing
 * is left when the last process is gone.
 */
const STAGE = "/run";
/** Short, because the kernel takes a page of options, and all layers stand in it. */
const HOME_ON_STAGE = `${STAGE}/h`;
const TREE_ON_STAGE = `${STAGE}/tree`;
const ETC_ON_STAGE = `${STAGE}/etc`;
const SEED_ON_STAGE = `${STAGE}/seed`;

const SHARED_MEMORY_BYTES = 256 * 1024 * 1024;
const START_TIMEOUT_MS = 20_000;
const LOG_BYTES_MAX = 2048;

/** Ignores all signals from inside, as first processes do, and waits for what lost its parent. */
const INIT = "echo ready; exec >/dev/null 2>&1; while :; do sleep 86400; done";

/**
 * Stands in the environment of a sandbox's first process and of all that waits for it or serves it
 * outside. Seen from inside, so that it tells nothing of the host.
 */
const MARKER = "MYCELIUM_SANDBOX";

/** Ends whatever carries it with the sandbox. */
export function markerVariable(folder: string): Readonly<Record<string, string>> {
  return { [MARKER]: createHash("sha256").update(folder).digest("hex") };
}

/** Finds a sandbox that was started by somebody who died before it could be recorded. */
export function sandboxMarker(folder: string): string {
  return `${MARKER}=${markerVariable(folder)[MARKER]}`;
}

/** How the tree of folders that a sandbox writes to comes to be. Paths are below the home's root. */
export type Tree =
  | {
      readonly kind: "layers";
      /** The uppermost first. */
      readonly lower: readonly [string, ...string[]];
      readonly upper: string;
      readonly work: string;
    }
  | { readonly kind: "folder"; readonly path: string };

export interface StartRequest {
  /** The root of the home of all sandboxes. */
  readonly root: string;
  readonly tree: Tree;
  /** Below the root, as are `seedFiles` and `mounts`. */
  readonly etc: string;
  /** `null` where there is no seed. */
  readonly seedFiles: string | null;
  /** Folders of objects on the host, shown read-only as `/run/seed/objects/0` and so on. */
  readonly objects: readonly string[];
  readonly hostname: string;
  readonly network: WorkspaceNetwork;
  /** Files to write `0` to before anything else: memberships in control groups. */
  readonly groups: readonly string[];
}

/** Writes the table of mounts to `path` and answers the command that starts the sandbox. */
export function startCommand(
  request: StartRequest,
  { mounts, command }: { readonly mounts: string; readonly command: readonly string[] },
): readonly [string, ...string[]] {
  writeFileSync(mounts, mountTable(request));
  const { isRoot, uid, gid } = outsideUser();
  const namespaces = isRoot ? ["--mount"] : ["--user", "--map-root-user", "--mount"];
  const become = isRoot
    ? ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--"]
    : [];
  const script =
    'set -e; table=$1; groups=$2; shift 2; for group in $groups; do echo 0 > "$group"; done; ' +
    'mount -n -a -T "$table"; cd /; exec 3>&1 "$@"';
  return [
    "unshare",
    ...namespaces,
    "--",
    "/bin/sh",
    "-c",
    script,
    "start",
    mounts,
    request.groups.join(" "),
    ...become,
    "bwrap",
    ...bubblewrapArguments(request),
    ...command,
  ];
}

/** Starts a sandbox that goes on when this process ends. */
export async function startSandbox(
  request: StartRequest,
  files: { readonly folder: string; readonly mounts: string; readonly complaints: string },
): Promise<Result<RunningRecord>> {
  const marker = markerVariable(files.folder);
  const marked = Object.entries(marker).flatMap((variable) => ["--setenv", ...variable]);
  const command = ["--as-pid-1", "--info-fd", "3", ...marked, "--", "/bin/sh", "-c", INIT];
  const started = await startDaemon({
    command: startCommand(request, { mounts: files.mounts, command }),
    cwd: "/",
    env: { PATH: HOST_PATH, ...marker },
    logPath: files.complaints,
    isReady: (said) => said.includes("ready") && CHILD_PID.test(said),
    timeoutMs: START_TIMEOUT_MS,
  });
  if (!started.ok) {
    const said = readFileSync(files.complaints).subarray(-LOG_BYTES_MAX).toString();
    return workspaceFailure(`the sandbox did not start: ${started.message}\n${said}`.trim());
  }
  const isOffline = request.network === "none";
  const monitorPid = started.pid;
  const initPid = Number(CHILD_PID.exec(started.said)?.[1]);
  const initIdentity = processIdentity(initPid);
  const monitorIdentity = processIdentity(monitorPid);
  if (initIdentity === null || monitorIdentity === null) {
    return workspaceFailure("the sandbox ended as soon as it was started");
  }
  const running = { initPid, initIdentity, monitorPid, monitorIdentity, isOffline };
  return { ok: true, value: running };
}

const CHILD_PID = /"child-pid": (\d+)/;

function mountTable({ root, tree, etc, seedFiles, objects }: StartRequest): string {
  const lines = [
    ["tmpfs", STAGE, "tmpfs", "mode=755,nosuid,nodev,size=1m"],
    [root, HOME_ON_STAGE, "none", "bind,x-mount.mkdir=0755"],
  ];
  if (tree.kind === "layers") {
    const lower = tree.lower.map((path) => `${HOME_ON_STAGE}/${path}`).join(":");
    const attributes = outsideUser().isRoot ? "" : ",userxattr";
    const options = `lowerdir=${lower},upperdir=${HOME_ON_STAGE}/${tree.upper},workdir=${HOME_ON_STAGE}/${tree.work}`;
    lines.push(["overlay", TREE_ON_STAGE, "overlay", `${options}${attributes},x-mount.mkdir=0755`]);
  } else {
    lines.push([`${root}/${tree.path}`, TREE_ON_STAGE, "none", "bind,x-mount.mkdir=0755"]);
  }
  // Their own folder is all that the sandbox's user may look into: those above it may be private.
  lines.push([`${root}/${etc}`, ETC_ON_STAGE, "none", "bind,x-mount.mkdir=0755"]);
  if (seedFiles !== null) {
    lines.push([`${root}/${seedFiles}`, SEED_ON_STAGE, "none", "bind,x-mount.mkdir=0755"]);
  }
  for (const [index, path] of objects.entries()) {
    lines.push([path, `${STAGE}/objects${index}`, "none", "bind,x-mount.mkdir=0755"]);
  }
  return lines.map((fields) => `${fields.map(escapeField).join(" ")} 0 0\n`).join("");
}

/** As `fstab` wants it. */
function escapeField(field: string): string {
  return field.replaceAll(/[\s\\]/g, (char) => {
    return `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`;
  });
}

function bubblewrapArguments(request: StartRequest): readonly string[] {
  const { seedFiles, objects, hostname, network } = request;
  const seed =
    seedFiles === null
      ? []
      : [
          "--ro-bind",
          SEED_ON_STAGE,
          `${INSIDE.seed}/files`,
          ...objects.flatMap((_path, index) => [
            "--ro-bind",
            `${STAGE}/objects${index}`,
            `${INSIDE.seed}/objects/${index}`,
          ]),
        ];
  return [
    [
      "--unshare-user",
      "--disable-userns",
      "--uid",
      String(INSIDE_UID),
      "--gid",
      String(INSIDE_UID),
    ],
    ["--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try", "--unshare-uts"],
    ["--hostname", hostname],
    network === "none" ? ["--unshare-net"] : [],
    toolArguments(),
    etcArguments(ETC_ON_STAGE),
    ["--proc", "/proc", "--dev", "/dev"],
    ["--size", String(SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"],
    ["--bind", `${TREE_ON_STAGE}/repository`, INSIDE.repository],
    ["--bind", `${TREE_ON_STAGE}/context`, INSIDE.context],
    ["--bind", `${TREE_ON_STAGE}/home`, INSIDE.home],
    ["--bind", `${TREE_ON_STAGE}/tmp`, INSIDE.temporary],
    seed,
    ["--remount-ro", "/", "--chdir", INSIDE.repository, "--clearenv"],
    ["--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin"],
  ].flat();
}
