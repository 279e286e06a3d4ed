import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { runProcess } from "../../src/lib/process.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** A file system of a few megabytes that only those can see who are run through `within`. */
export interface SmallDisk extends AsyncDisposable {
  /** For the beginning of a command line; it begins in the root folder. */
  readonly within: readonly [string, ...string[]];
  /** Leaves not a single block. */
  fill(): Promise<void>;
  free(): Promise<void>;
  run(script: string): Promise<string>;
}

export const SMALL_DISK_HOW_TO =
  "needs user and mount namespaces: allow unprivileged ones (`sysctl " +
  "kernel.unprivileged_userns_clone=1`, or `--privileged` in a container), or run as root";

/** Mounts it at a folder, in a namespace of its own that goes with it; `null` where nobody may. */
export async function mountSmallDisk(path: string, megabytes: number): Promise<SmallDisk | null> {
  await mkdir(path, { recursive: true });
  const mount = `mount -t tmpfs -o size=${megabytes}m,mode=700 small "$0" && echo ready && exec cat`;
  const holder = spawn("unshare", ["--map-root-user", "--mount", "sh", "-c", mount, path], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const ended = new Promise<void>((resolve) => {
    holder.once("error", () => resolve());
    holder.once("close", () => resolve());
  });
  const isReady = await Promise.race([
    new Promise<boolean>((resolve) => holder.stdout.once("data", () => resolve(true))),
    ended.then(() => false),
  ]);
  if (!isReady) return null;
  const within = [
    "nsenter",
    `--target=${holder.pid}`,
    "--user",
    "--mount",
    "--preserve-credentials",
    "--",
  ] as const;
  const run = (script: string): Promise<string> => runShell([...within, "sh", "-c", script, path]);
  return {
    within,
    run,
    fill: async () => {
      await run(
        'cat /dev/zero > "$0/ballast" 2> /dev/null; test "$(df --output=avail "$0" | tail -1)" -eq 0',
      );
    },
    free: async () => {
      await run('rm "$0/ballast"');
    },
    [Symbol.asyncDispose]: async () => {
      holder.stdin.end();
      await ended;
    },
  };
}

/** Whether this machine lets a test mount one. */
export async function canMountSmallDisk(): Promise<boolean> {
  await using folder = await temporaryFolder();
  await using disk = await mountSmallDisk(folder.path, 1);
  return disk !== null;
}

async function runShell(command: readonly [string, ...string[]]): Promise<string> {
  const env = { PATH: process.env["PATH"] ?? "" };
  const limits = { timeoutMs: 60_000, outputBytesMax: 1_000_000 };
  const { ending, stdout, stderr } = await runProcess({ command, cwd: "/", env, ...limits });
  if (ending.kind === "exited" && ending.code === 0) return stdout.bytes.toString();
  throw new Error(`${command.join(" ")}: ${JSON.stringify(ending)} ${stderr.bytes.toString()}`);
}
