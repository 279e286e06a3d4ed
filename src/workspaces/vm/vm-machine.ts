import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { tryLockFile, type FileLock } from "../../lib/file-lock.ts";
import { endMarkedProcesses, isAlive } from "../../lib/process.ts";
import { exists } from "../local-layout.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { AgentConnection } from "./agent-connection.ts";
import { growDisk, personalize } from "./agent-requests.ts";
import { copyOverlay, type Golden } from "./golden.ts";
import type { Image } from "./image.ts";
import {
  machineMarker,
  PORT_COUNT,
  startMachine,
  STATE_URI,
  type MachineShape,
  type StartedMachine,
} from "./machine.ts";
import { loadState, openMonitor } from "./qmp.ts";
import { openSocketFolder, type SocketFolder } from "./socket-folder.ts";
import { readMachine, writeMachine, type VmLayout, type VmRecord } from "./vm-record.ts";

const ANSWER_TIMEOUT_MS = { kvm: 20_000, tcg: 120_000 } as const;
const RANDOM_BYTES = 64;

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

  /** A live copy of a golden machine, told who it is. */
  async fork(golden: Golden, record: VmRecord): Promise<Result<AgentConnection>> {
    const copied = await copyOverlay(golden, this.#layout.disk);
    if (!copied.ok) return copied;
    const { folder } = this.#layout;
    const { memoryPath, statePath } = golden;
    const origin = { kind: "fork", memoryPath, statePath } as const;
    const started = await startMachine({ folder, shape: golden.shape, origin });
    if (!started.ok) return started;
    await writeMachine(this.#layout, started.value);
    using sockets = openSocketFolder(folder);
    const monitor = await this.#awaitMonitor(sockets, started.value);
    if (!monitor.ok) return monitor;
    using opened = monitor.value;
    const loaded = await loadState(opened, STATE_URI);
    if (!loaded.ok) return loaded;
    return this.#introduce(record, golden.shape);
  }

  /** From the disk alone: what ran is gone. */
  async boot(image: Image, record: VmRecord): Promise<Result<AgentConnection>> {
    const { folder } = this.#layout;
    const { shape } = record;
    const started = await startMachine({ folder, shape, origin: { kind: "boot", image } });
    if (!started.ok) return started;
    await writeMachine(this.#layout, started.value);
    const agent = await this.#introduce(record, shape);
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

  async #introduce(record: VmRecord, shape: MachineShape): Promise<Result<AgentConnection>> {
    const agent = await this.connect(shape);
    if (!agent.ok) return agent;
    const told = await personalize(agent.value, {
      hostname: hostnameOf(this.#id),
      machineId: record.machineId,
      randomSeed: randomBytes(RANDOM_BYTES),
      pids: record.pids,
      cpus: record.cpus,
    });
    return told.ok ? agent : told;
  }

  async #awaitMonitor(
    sockets: SocketFolder,
    { ended }: StartedMachine,
  ): Promise<ReturnType<typeof openMonitor>> {
    let isGone = false;
    void ended.then(() => (isGone = true));
    return openMonitor(sockets.at("qmp"), { isGone: () => isGone });
  }

  async #connectNow(shape: MachineShape): Promise<Result<AgentConnection>> {
    if (!this.isRunning()) return workspaceFailure("the machine does not run");
    const port = takePort(this.#layout.folder);
    if (port === null) {
      return workspaceFailure(`${PORT_COUNT} programs talk to the machine already`);
    }
    using sockets = openSocketFolder(this.#layout.folder);
    const gone = new AbortController();
    const opened = await AgentConnection.open({
      path: sockets.at(port.name),
      timeoutMs: ANSWER_TIMEOUT_MS[shape.accelerator],
      signal: gone.signal,
    });
    if (!opened.ok) {
      port.lock[Symbol.dispose]();
      return opened;
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
function takePort(folder: string): Port | null {
  for (let number = 1; number <= PORT_COUNT; number += 1) {
    const name = `port${number}`;
    if (!exists(folder)) return null;
    const lock = tryLockFile(join(folder, `${name}.lock`));
    if (lock !== null) return { name, lock };
  }
  return null;
}

/** What a host name may hold of an id. */
export function hostnameOf(id: string): string {
  const name = id.toLowerCase().replaceAll(/[^a-z0-9-]+/g, "-");
  return name.slice(0, 63).replace(/-+$/, "");
}
