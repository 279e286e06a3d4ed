import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { crashPoint } from "../../lib/crash-point.ts";
import { processIdentity, startDaemon } from "../../lib/process.ts";
import type { Result } from "../../domain/failure.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import type { WorkspaceNetwork } from "../workspace.ts";
import { HOST_PATH } from "./host-path.ts";
import { INSIDE, INSIDE_UID } from "./layout.ts";
import type { RunningRecord } from "./record.ts";
import { STAGED, stageSteps, type StageRequest } from "./stage.ts";
import { stagedCommand } from "./stage-program.ts";

const START_TIMEOUT_MS = 20_000;
const LOG_BYTES_MAX = 2048;

/**
 * Waits until everything is arranged outside, and ends where whoever arranges it does. Ignores all
 * signals from inside, as first processes do, and waits for what lost its parent.
 */
const INIT =
  "read -r go || exit 1; exec < /dev/null; echo ready; exec >/dev/null 2>&1; " +
  "while :; do sleep 86400; done";

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

export interface StartRequest extends StageRequest {
  readonly network: WorkspaceNetwork;
}

/** The command that starts a sandbox whose first process is `command`, after options of bubblewrap. */
export function startCommand(
  request: StartRequest,
  command: readonly string[],
): readonly [string, ...string[]] {
  const bubblewrap = ["bwrap", ...bubblewrapArguments(request), ...command];
  return stagedCommand(stageSteps(request), bubblewrap);
}

export interface StartMeans {
  /** The sandbox's own. */
  readonly folder: string;
  /** Where what the start complains of is kept. */
  readonly complaints: string;
  /** Puts a process into the sandbox's control groups. */
  readonly join: (pid: number) => Promise<void>;
}

/**
 * Starts a sandbox that goes on when this process ends. Its first process joins its control groups
 * while bubblewrap is at work, because to join takes as long; nothing runs inside before it has.
 */
export async function startSandbox(
  request: StartRequest,
  { folder, complaints, join }: StartMeans,
): Promise<Result<RunningRecord>> {
  const marker = markerVariable(folder);
  const marked = Object.entries(marker).flatMap((variable) => ["--setenv", ...variable]);
  const command = ["--as-pid-1", "--info-fd", "3", ...marked, "--", "/bin/sh", "-c", INIT];
  const started = await startDaemon({
    command: startCommand(request, command),
    cwd: "/",
    env: { PATH: HOST_PATH, ...marker },
    logPath: complaints,
    arrange: (said) => {
      const pid = CHILD_PID.exec(said)?.[1];
      return pid === undefined ? null : complaintOf(join(Number(pid)));
    },
    isReady: (said) => said.includes("ready"),
    timeoutMs: START_TIMEOUT_MS,
  });
  if (!started.ok) {
    const said = readFileSync(complaints).subarray(-LOG_BYTES_MAX).toString();
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

/** The digits are all there once something follows them. */
const CHILD_PID = /"child-pid": (\d+)\D/;

/** What the system refused, in words. */
async function complaintOf(joining: Promise<void>): Promise<string | null> {
  try {
    await joining;
    crashPoint("sandbox.joined");
    return null;
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return `cannot join its control groups: ${String(error)}`;
  }
}

/** Few, because bubblewrap reads the whole table of mounts for each. */
function bubblewrapArguments({ hostname, network }: StartRequest): readonly string[] {
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
    ["--ro-bind", STAGED.root, "/", "--proc", "/proc", "--dev-bind", STAGED.devices, "/dev"],
    ["--bind", `${STAGED.tree}/repository`, INSIDE.repository],
    ["--bind", `${STAGED.tree}/context`, INSIDE.context],
    ["--bind", `${STAGED.tree}/home`, INSIDE.home],
    ["--bind", `${STAGED.tree}/tmp`, INSIDE.temporary],
    ["--chdir", INSIDE.repository, "--clearenv"],
    ["--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin"],
  ].flat();
}
