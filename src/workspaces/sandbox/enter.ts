import { randomUUID } from "node:crypto";
import { resolve } from "node:path/posix";
import type { Readable } from "node:stream";
import { runProcess, type ProcessOutput, type ProcessResult } from "../../lib/process.ts";
import type { WorkspaceLimits } from "../workspace.ts";
import type { SandboxCgroups } from "./cgroups.ts";
import { findProgram, HOST_PATH } from "./host-path.ts";
import { joinGroups } from "./join-groups.ts";
import { INSIDE, INSIDE_UID } from "./layout.ts";
import { outsideUser } from "./outside-user.ts";
import type { RunningRecord } from "./record.ts";

export interface EnterRequest {
  readonly running: RunningRecord;
  readonly cgroups: SandboxCgroups;
  readonly limits: WorkspaceLimits;
  /** By this its processes are known; made up where it is left out. */
  readonly commandId?: string | undefined;
  readonly command: readonly [string, ...string[]];
  /** Must lie inside once its links are followed; the repository where it is left out. */
  readonly cwd?: string | undefined;
  /** The whole environment of the command. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer | Readable | undefined;
  readonly timeoutMs: number;
  readonly outputBytesMax: number;
  readonly onOutput?: ((stream: "stdout" | "stderr", chunk: Buffer) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Folders that a path inside may lead to. */
const ROOTS = [INSIDE.repository, INSIDE.context, INSIDE.temporary, INSIDE.home];

/** For `case`: anything in one of the roots. */
export const INSIDE_PATTERN = ROOTS.map((root) => `${root}|${root}/*`).join("|");

/**
 * Runs inside, before the command and as its user. Begins the standard error with the token and `+`
 * where the command is about to start, and with the token, `!` and the reason where it cannot.
 */
const LAUNCHER = `
token=$1 dir=$2 processes=$3 data=$4
shift 4
refuse() { printf '%s!%s' "$token" "$1" >&2; exit 127; }
if [ -n "$dir" ]; then
  [ -e "$dir" ] || refuse "the folder $dir is missing"
  cd -P -- "$dir" 2>/dev/null || refuse "cannot go to $dir"
  case $PWD in ${INSIDE_PATTERN}) ;; *) refuse "$dir: leads out of the workspace" ;; esac
else
  cd -- ${INSIDE.repository} || refuse "cannot go to ${INSIDE.repository}"
fi
ulimit -c 0
[ -z "$processes" ] || ulimit -u "$processes" 2>/dev/null || ulimit -p "$processes"
[ -z "$data" ] || ulimit -d "$data"
eval "$MYCELIUM_SANDBOX_ENV"
unset MYCELIUM_SANDBOX_ENV token dir processes data
command -v -- "$1" >/dev/null 2>&1 || { token=$MYCELIUM_COMMAND_ID; refuse "cannot start $1: no such program"; }
printf '%s+' "$MYCELIUM_COMMAND_ID" >&2
exec "$@"
`;

/**
 * Runs a command in a running sandbox. Its variables are set inside: none of them is seen by the
 * host's programs on the way, and none stands in a command line.
 */
export async function enter(request: EnterRequest): Promise<ProcessResult> {
  const { commandId = randomUUID() } = request;
  const groups = request.cgroups.enter(commandId);
  const { stdin, signal } = request;
  const announced = hearAnnouncement(commandId, request.onOutput);
  try {
    const result = await runProcess({
      command: commandLine(request, commandId, groups),
      cwd: "/",
      env: {
        PATH: HOST_PATH,
        MYCELIUM_COMMAND_ID: commandId,
        MYCELIUM_SANDBOX_ENV: assignments({ ...request.env, MYCELIUM_COMMAND_ID: commandId }),
      },
      ...(stdin === undefined ? {} : { stdin }),
      timeoutMs: request.timeoutMs,
      // What announces the command must not push the rest of a short answer out.
      outputBytesMax: request.outputBytesMax + ANNOUNCEMENT_BYTES_MAX,
      onOutput: (stream, chunk) => announced.hear(stream, chunk),
      ...(signal === undefined ? {} : { signal }),
      marker: `MYCELIUM_COMMAND_ID=${commandId}`,
    });
    return announced.judge(result, request.outputBytesMax);
  } finally {
    await request.cgroups.end(commandId);
  }
}

/** The token and a short reason. */
const ANNOUNCEMENT_BYTES_MAX = 1024;

interface Announcement {
  hear(stream: "stdout" | "stderr", chunk: Buffer): void;
  judge(result: ProcessResult, outputBytesMax: number): ProcessResult;
}

/** Takes the announcement off the standard error, and tells where there was none. */
function hearAnnouncement(commandId: string, listener: EnterRequest["onOutput"]): Announcement {
  const wanted = Buffer.from(`${commandId}+`);
  let early: Buffer | null = Buffer.alloc(0);
  const isAnnounced = (): boolean => early === null;
  return {
    hear: (stream, chunk) => {
      if (stream === "stdout" || early === null) {
        listener?.(stream, chunk);
        return;
      }
      early = Buffer.concat([early, chunk]);
      if (!early.subarray(0, wanted.length).equals(wanted)) return;
      const rest = early.subarray(wanted.length);
      early = null;
      if (rest.length > 0) listener?.("stderr", rest);
    },
    judge: (result, outputBytesMax) => {
      const stdout = cut(result.stdout, 0, outputBytesMax);
      if (isAnnounced()) {
        return { ...result, stdout, stderr: cut(result.stderr, wanted.length, outputBytesMax) };
      }
      if (result.ending.kind !== "exited") return result;
      const said = (early ?? Buffer.alloc(0)).toString().replace(`${commandId}!`, "").trim();
      const message = said === "" ? "the sandbox ended before the command was started" : said;
      return { ...result, ending: { kind: "unstartable", message }, stdout, stderr: NOTHING };
    },
  };
}

const NOTHING: ProcessOutput = { bytes: Buffer.alloc(0), totalBytes: 0, droppedBytes: 0 };

/** Takes bytes off the beginning, and keeps no more than wanted of the end. */
function cut(output: ProcessOutput, prefixBytes: number, bytesMax: number): ProcessOutput {
  const totalBytes = output.totalBytes - prefixBytes;
  const keptBytes = Math.min(totalBytes, bytesMax);
  const bytes = output.bytes.subarray(output.bytes.length - keptBytes);
  return { bytes, totalBytes, droppedBytes: totalBytes - keptBytes };
}

function commandLine(
  { running, limits, command, cwd, cgroups }: EnterRequest,
  commandId: string,
  groups: readonly string[],
): readonly [string, ...string[]] {
  const inside = [
    "/bin/sh",
    "-c",
    LAUNCHER,
    "launch",
    commandId,
    cwd === undefined ? "" : resolve(INSIDE.repository, cwd),
    String(limits.pids ?? ""),
    cgroups.held.has("memory") ? "" : kilobytes(limits.memoryMb),
  ];
  return [...joinGroups(groups), ...namespaces(running), ...inside, ...command];
}

function kilobytes(memoryMb: number | undefined): string {
  return memoryMb === undefined ? "" : String(Math.floor(memoryMb * 1024));
}

function namespaces(running: RunningRecord): readonly string[] {
  const id = String(INSIDE_UID);
  const network = running.isOffline ? ["--net"] : [];
  const all = ["--mount", "--pid", ...network, "--ipc", "--uts", "--cgroup", "--user"];
  return nsenterArguments(running, all, [`--setuid=${id}`, `--setgid=${id}`]);
}

/** A program started behind this one's arguments keeps its files and user, and has that network. */
export function networkOf(running: RunningRecord): readonly string[] {
  if (!running.isOffline) return [];
  return nsenterArguments(running, outsideUser().isRoot ? ["--net"] : ["--user", "--net"], []);
}

/** Only who may do everything in the outer user namespace may enter the others. */
function nsenterArguments(
  { initPid, monitorPid }: RunningRecord,
  wanted: readonly string[],
  identity: readonly string[],
): readonly string[] {
  const nsenter = findProgram("nsenter") ?? "nsenter";
  const into = [nsenter, `--target=${initPid}`, ...wanted];
  if (outsideUser().isRoot) return [...into, ...identity, "--"];
  // Without root, this process's own user is the one inside already.
  const keep = "--preserve-credentials";
  return [nsenter, `--target=${monitorPid}`, "--user", keep, "--", ...into, keep, "--"];
}

/** Shell text that sets and exports all of them. */
function assignments(env: Readonly<Record<string, string>>): string {
  return Object.entries(env)
    .filter(([name]) => /^[A-Za-z_]\w*$/.test(name))
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'\n`)
    .join("");
}
