import { randomBytes } from "node:crypto";
import { appendFileSync, linkSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { systemClock, timestamp } from "../../lib/clock.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { lockFile, tryLockFile, type FileLock } from "../../lib/file-lock.ts";
import { endMarkedProcesses, isAlive } from "../../lib/process.ts";
import { exists } from "../local-layout.ts";
import { codeOf, workspaceFailure } from "../workspace-failure.ts";
import { AgentConnection } from "./agent-connection.ts";
import { growDisk, personalize, settleDisk } from "./agent-requests.ts";
import { isFull } from "./disk-room.ts";
import { copyOverlay, type Golden } from "./golden.ts";
import type { Image } from "./image.ts";
import {
  machineMarker,
  channelNames,
  startMachine,
  STATE_URI,
  type MachineShape,
  type StartedMachine,
} from "./machine.ts";
import { loadState, nothingOf, openMonitor, queryDisk, queryStatus, type Monitor } from "./qmp.ts";
import { openSocketFolder, type SocketFolder } from "./socket-folder.ts";
import { keepConsole } from "./vm-logs.ts";
import { readMachine, writeMachine, type VmLayout, type VmRecord } from "./vm-record.ts";

const ANSWER_TIMEOUT_MS = { kvm: 20_000, tcg: 120_000 } as const;
const RANDOM_BYTES = 64;
/** How long a machine may take for its first answer before somebody asks QEMU what it does. */
const QUIET_MS = 3_000;
const PORT_WAIT_MS = 10_000;
const PORT_PAUSE_MS = 20;
const QUIT_WAIT_MS = 5_000;
const QUIT_PAUSE_MS = 5;

/** The machine of one workspace, as this process sees it: the process itself is nobody's child. */
export class VmMachine {
  readonly #layout: VmLayout;
  readonly #id: string;
  #connecting: Promise<Result<AgentConnection>> | null = null;

  constructor(id: string, layout: VmLayout) {
    this.#id = id;
    this.#layout = layout;
  }

  isRunning(): boolean {
    const known = readMachine(this.#layout);
    return known !== null && isAlive(known.pid, known.identity);
  }

  /** Whether it ends within a time. */
  async hasEnded(withinMs: number): Promise<boolean> {
    const deadline = systemClock.monotonic() + withinMs;
    while (this.isRunning() && systemClock.monotonic() < deadline) {
      await systemClock.sleep(QUIT_PAUSE_MS);
    }
    return !this.isRunning();
  }

  /** A live copy of a saved machine on a disk of its own, told who it is. */
  async fork(golden: Golden, record: VmRecord): Promise<Result<AgentConnection>> {
    const copied = await copyOverlay(golden, this.#layout.disk);
    if (!copied.ok) return copied;
    const { folder } = this.#layout;
    const { memoryPath, statePath } = golden;
    const origin = { kind: "fork", memoryPath, statePath } as const;
    const started = await startMachine({ folder, shape: record.shape, origin });
    if (!started.ok) return started;
    writeMachine(this.#layout, started.value);
    using sockets = openSocketFolder(folder);
    const monitor = await this.#awaitMonitor(sockets, started.value);
    if (!monitor.ok) return monitor;
    using opened = monitor.value;
    const runs = await loadState(opened, STATE_URI);
    if (!runs.ok) return runs;
    return this.#greetAndIntroduce(record);
  }

  /** From the disk alone: what ran is gone. */
  async boot(image: Image, record: VmRecord): Promise<Result<AgentConnection>> {
    const { folder } = this.#layout;
    const { shape } = record;
    const started = await startMachine({ folder, shape, origin: { kind: "boot", image } });
    if (!started.ok) return started;
    crashPoint("machine.started");
    writeMachine(this.#layout, started.value);
    const agent = await this.introduce(record);
    if (!agent.ok) return agent;
    const grown = await growDisk(agent.value);
    return grown.ok ? agent : grown;
  }

  /** The conversation of this process with the machine; every caller's commands share it. */
  async connect(shape: MachineShape): Promise<Result<AgentConnection>> {
    const known = await this.#connecting;
    if (known?.ok === true && !known.value.isClosed) return known;
    this.#connecting = this.#connectNow(shape);
    return this.#connecting;
  }

  /** Tells it who it is and what time it is: after a start, a fork and a pause. */
  async introduce(record: VmRecord): Promise<Result<AgentConnection>> {
    const agent = await this.connect(record.shape);
    if (!agent.ok) return agent;
    const told = await this.#personalize(agent.value, record);
    return told.ok ? agent : told;
  }

  /** In one message with the greeting, to a machine that runs: nobody talked to it before. */
  async #greetAndIntroduce(record: VmRecord): Promise<Result<AgentConnection>> {
    const told: Promise<Result<number>>[] = [];
    this.#connecting = this.#connectNow(record.shape, (agent) => {
      told.push(this.#personalize(agent, record));
    });
    const agent = await this.#connecting;
    const [answer] = await Promise.all(told);
    return agent.ok && answer?.ok === false ? answer : agent;
  }

  #personalize(agent: AgentConnection, record: VmRecord): Promise<Result<number>> {
    return personalize(agent, {
      hostname: hostnameOf(this.#id),
      machineId: record.machineId,
      randomSeed: randomBytes(RANDOM_BYTES),
      pids: record.pids,
      cpus: record.cpus,
    });
  }

  /** Talks to QEMU itself; `null` where it cannot be. One at a time: with the workspace's lock. */
  async withMonitor<T>(act: (monitor: Monitor) => Promise<Result<T>>): Promise<Result<T>> {
    using sockets = openSocketFolder(this.#layout.folder);
    const opened = await openMonitor(sockets.at("qmp"), { isGone: () => !this.isRunning() });
    if (!opened.ok) return opened;
    using monitor = opened.value;
    return await act(monitor);
  }

  /** Ends it once its disk is whole; by force where it does not do as it is told. */
  async stop(shape: MachineShape): Promise<void> {
    const agent = this.isRunning() ? await this.connect(shape) : null;
    if (agent?.ok === true) {
      const settled = await settleDisk(agent.value, true);
      if (!settled.ok) this.log(`its disk was not settled: ${settled.failure.message}`);
      await this.withMonitor(async (monitor) => {
        await keepConsole(this.#layout, monitor);
        crashPoint("stop.settled");
        return nothingOf(await monitor.execute("quit"));
      });
      await this.hasEnded(QUIT_WAIT_MS);
    }
    await this.kill();
  }

  /** Lets a machine go on that a killed process held, with the disk that it then had. */
  async letGo(): Promise<Result<void>> {
    if (!this.isRunning()) {
      this.removeStrayDisks();
      return { ok: true, value: undefined };
    }
    return this.withMonitor(async (monitor) => {
      const disk = await queryDisk(monitor);
      if (!disk.ok) return disk;
      this.takeDisk(disk.value);
      const status = await queryStatus(monitor);
      if (!status.ok || status.value === "running") return nothingOf(status);
      return nothingOf(await monitor.execute("cont"));
    });
  }

  /**
   * The disk that the machine writes gets the name that it is started with, beside the name that
   * QEMU knows and may open again.
   */
  takeDisk(name: string): void {
    const { folder, disk } = this.#layout;
    if (name !== basename(disk)) {
      rmSync(`${disk}.new`, { force: true });
      linkSync(join(folder, name), `${disk}.new`);
      renameSync(`${disk}.new`, disk);
    }
    this.removeStrayDisks();
  }

  /** Made for a snapshot that did not come to be, or of one that is done. */
  removeStrayDisks(): void {
    const { folder, disk } = this.#layout;
    const own = statSync(disk, { throwIfNoEntry: false })?.ino;
    for (const name of readdirSync(folder).filter((file) => /^disk\../.test(file))) {
      const file = join(folder, name);
      if (statSync(file).ino !== own) rmSync(file, { force: true });
    }
  }

  /** A line is not worth a failure where the disk has no room for it. */
  log(event: string): void {
    try {
      appendFileSync(this.#layout.log, `${timestamp(systemClock)} ${event}\n`);
    } catch (error) {
      if (!["ENOSPC", "EDQUOT"].includes(codeOf(error))) throw error;
    }
  }

  disconnect(): void {
    void this.#connecting?.then((known) => {
      if (known.ok) known.value.close();
    });
    this.#connecting = null;
  }

  /** Ends it by force; answers when it is gone. */
  async kill(): Promise<number> {
    this.disconnect();
    return endMarkedProcesses(machineMarker(this.#layout.folder));
  }

  async #awaitMonitor(
    sockets: SocketFolder,
    { ended }: StartedMachine,
  ): Promise<ReturnType<typeof openMonitor>> {
    let isGone = false;
    void ended.then(() => (isGone = true));
    return openMonitor(sockets.at("qmp"), { isGone: () => isGone });
  }

  /**
   * QEMU holds a machine whose disk found no room in this one's. Where it does not answer for a
   * while, it is let go on as soon as there is room again; until then nobody waits for it.
   */
  #watchQuiet(): Disposable & { readonly signal: AbortSignal; why(): Result<never> | null } {
    const over = new AbortController();
    const givenUp = new AbortController();
    let failure: Result<never> | null = null;
    const watch = async (): Promise<void> => {
      await systemClock.sleep(QUIET_MS, over.signal);
      if (over.signal.aborted || !this.isRunning()) return;
      const gone = await this.withMonitor(async (monitor) => {
        const status = await queryStatus(monitor);
        if (!status.ok || status.value !== "io-error") return nothingOf(status);
        const { folder } = this.#layout;
        if (isFull(folder)) return workspaceFailure(`${folder}: No space left on device`);
        return nothingOf(await monitor.execute("cont"));
      });
      if (gone.ok || gone.failure.code !== "disk-full") return;
      failure = gone;
      givenUp.abort();
    };
    void watch();
    return {
      signal: givenUp.signal,
      why: () => failure,
      [Symbol.dispose]: () => over.abort(),
    };
  }

  async #connectNow(
    shape: MachineShape,
    onGreeting?: (agent: AgentConnection) => void,
  ): Promise<Result<AgentConnection>> {
    if (!this.isRunning()) return workspaceFailure("the machine does not run");
    const port = await takePort(this.#layout.folder, shape);
    if (port === null) {
      return workspaceFailure(`${shape.channels} programs talk to the machine already`);
    }
    using sockets = openSocketFolder(this.#layout.folder);
    using quiet = this.#watchQuiet();
    const opened = await AgentConnection.open({
      path: sockets.at(port.name),
      timeoutMs: ANSWER_TIMEOUT_MS[shape.accelerator],
      isGone: () => !this.isRunning(),
      signal: quiet.signal,
      ...(onGreeting === undefined ? {} : { onGreeting }),
    });
    if (!opened.ok) {
      port.lock[Symbol.dispose]();
      return quiet.why() ?? opened;
    }
    void opened.value.closed.then(() => port.lock[Symbol.dispose]());
    return opened;
  }
}

interface Port {
  readonly name: string;
  readonly lock: FileLock;
}

/** QEMU serves one program a port: whoever has its lock. */
async function takePort(folder: string, shape: MachineShape): Promise<Port | null> {
  const deadline = systemClock.monotonic() + PORT_WAIT_MS;
  while (exists(folder)) {
    for (const name of channelNames(shape)) {
      const lock = tryLockFile(join(folder, `${name}.lock`));
      if (lock !== null) return { name, lock };
    }
    if (systemClock.monotonic() > deadline) return null;
    await systemClock.sleep(PORT_PAUSE_MS);
  }
  return null;
}

/** Held by who changes a workspace; a failure where somebody does for too long. */
export async function lockWorkspace(layout: VmLayout, id: string): Promise<Result<FileLock>> {
  const lock = await lockFile(layout.lock);
  if (lock !== null) return { ok: true, value: lock };
  return workspaceFailure(`another process is changing ${id}, or has removed it`);
}

/** What a host name may hold of an id. */
export function hostnameOf(id: string): string {
  const name = id.toLowerCase().replaceAll(/[^a-z0-9-]+/g, "-");
  return name.slice(0, 63).replace(/-+$/, "");
}
