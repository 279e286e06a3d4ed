import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { createDockerProvider } from "../../src/workspaces/docker/docker.ts";
import { openEngine, type Engine } from "../../src/workspaces/docker/engine.ts";
import { buildImage } from "../../src/workspaces/images/build-image.ts";
import type { LastingProvider } from "../../src/workspaces/lasting-workspace.ts";
import { codeOf } from "../../src/workspaces/workspace-failure.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** A Docker Engine of the test's own, on a disk of its own, with an image. */
export interface PrivateEngine extends AsyncDisposable {
  readonly provider: LastingProvider;
  readonly engine: Engine;
  readonly socketPath: string;
  /** Where its provider keeps what it knows of workspaces. */
  readonly home: string;
  readonly image: string;
  /** Asks it to end, with all that runs in it, and waits until it is gone. */
  end(): Promise<void>;
  /** Kills it at once, as a crash does, and waits until it is gone; its containers may go on. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

const ANSWERS_WITHIN_MS = 60_000;
const BUILD_TIMEOUT_MS = 300_000;
const PATH = `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;

/** Whether this machine lets a test have one; never left out where everything is required. */
export const mayStartEngines =
  process.getuid?.() === 0 || process.env["MYCELIUM_REQUIRE_ALL"] === "1";

export async function privateEngine(diskMegabytes: number): Promise<PrivateEngine> {
  const folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  await mkdir(at("data"));
  const keeper = await keepPlace(at("data"), diskMegabytes);
  const address = { socketPath: at("engine.sock") };
  const engine = openEngine(address);
  let running: ChildProcess | null = null;

  const start = async (): Promise<void> => {
    running = startEngine(at, keeper.pid ?? 0);
    await answering(engine, at("engine.log"));
  };
  const endBy = async (signal: "SIGTERM" | "SIGKILL"): Promise<void> => {
    const ended = running;
    running = null;
    if (ended === null || ended.exitCode !== null || ended.signalCode !== null) return;
    const closed = new Promise((resolve) => ended.once("close", resolve));
    ended.kill(signal);
    await closed;
  };
  const end = (): Promise<void> => endBy("SIGTERM");

  await start();
  const tools = { path: PATH, timeoutMs: BUILD_TIMEOUT_MS };
  const { image } = await buildImage({ from: "host", include: [], engine, tools });
  const gitEnvironment = { PATH };
  const provider = createDockerProvider({ root: at("home"), address, image, gitEnvironment });
  return {
    provider,
    engine,
    socketPath: address.socketPath,
    home: at("home"),
    image,
    start,
    end,
    kill: async () => {
      await endBy("SIGKILL");
      await endContainerd(at("exec/containerd/containerd.pid"));
    },
    [Symbol.asyncDispose]: async () => {
      if (running === null) await start();
      for (const id of await provider.list()) await provider.remove(id);
      await end();
      const closed = new Promise((resolve) => keeper.once("close", resolve));
      keeper.kill("SIGKILL");
      await closed;
      await folder[Symbol.asyncDispose]();
    },
  };
}

/**
 * Namespaces of its own for a disk and for a network, as long as this process lives: an engine in
 * that of the machine would take the machine's engine its bridge.
 */
async function keepPlace(path: string, megabytes: number): Promise<ChildProcess> {
  const script = `mount -t tmpfs -o "size=$1m" data "$0" && echo ready && exec cat`;
  const command = ["--mount", "--net", "sh", "-c", script, path, String(megabytes)];
  const keeper = spawn("unshare", command, { stdio: ["pipe", "pipe", "inherit"] });
  await new Promise<void>((resolve, reject) => {
    keeper.stdout.once("data", () => resolve());
    keeper.once("close", () => reject(new Error("no disk could be mounted")));
    keeper.once("error", reject);
  });
  return keeper;
}

function startEngine(at: (name: string) => string, keeper: number): ChildProcess {
  const log = openSync(at("engine.log"), "a");
  const options = [
    `--data-root=${at("data")}`,
    `--exec-root=${at("exec")}`,
    `--pidfile=${at("engine.pid")}`,
    `--host=unix://${at("engine.sock")}`,
    "--bridge=none",
    "--iptables=false",
  ];
  const command = [`--target=${keeper}`, "--mount", "--net", "dockerd", ...options];
  const started = spawn("nsenter", command, {
    stdio: ["ignore", log, log],
    env: { ...process.env, PATH },
  });
  closeSync(log);
  return started;
}

/**
 * The engine's own containerd ends with it. Where nobody takes in what has lost its parent, its number
 * stays taken, and by that file the next engine would take it for one that runs.
 */
async function endContainerd(pidFile: string): Promise<void> {
  try {
    process.kill(Number(await readFile(pidFile, "utf8")), "SIGKILL");
  } catch (error) {
    if (!["ENOENT", "ESRCH"].includes(codeOf(error))) throw error;
  }
  await rm(pidFile, { force: true });
}

async function answering(engine: Engine, log: string): Promise<void> {
  const deadline = systemClock.monotonic() + ANSWERS_WITHIN_MS;
  for (;;) {
    try {
      await engine.facts();
      return;
    } catch (error) {
      if (systemClock.monotonic() < deadline) await systemClock.sleep(50);
      else throw new Error(`${String(error)}\n${await readFile(log, "utf8")}`, { cause: error });
    }
  }
}
