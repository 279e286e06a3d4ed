import type { Result } from "../../domain/failure.ts";
import { tryLockFile } from "../../lib/file-lock.ts";
import type { WorkspaceInfo } from "../lasting-workspace.ts";
import { failureWith, workspaceFailure } from "../workspace-failure.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { copyOverlay, type Golden } from "./golden.ts";
import type { Image } from "./image.ts";
import { lockWorkspace, type VmMachine } from "./vm-machine.ts";
import {
  isWhole,
  readRecord,
  settledState,
  writeRecord,
  writeRecordIfRoom,
  type VmLayout,
  type VmRecord,
} from "./vm-record.ts";

export interface KeeperMeans {
  readonly id: string;
  readonly layout: VmLayout;
  readonly machine: VmMachine;
  /** The image of a name, built where it is missing and can be. */
  readonly provideImage: (name: string) => Promise<Result<Image>>;
}

const ENDING_WAIT_MS = 1_000;

/** Sees to it that a workspace's machine is as its record says. */
export class VmKeeper {
  readonly machine: VmMachine;
  readonly #means: KeeperMeans;

  constructor(means: KeeperMeans) {
    this.#means = means;
    this.machine = means.machine;
  }

  /** A machine that ended without being told to is broken until the next command starts it. */
  stateOf({ state }: VmRecord): WorkspaceInfo["state"] {
    if (state === "stopped" || state === "stopping" || state === "starting") return "stopped";
    return state === "running" && this.machine.isRunning() ? "running" : "broken";
  }

  /** A conversation with the machine; starts one that ended under its workspace. */
  async wake(): Promise<Result<AgentConnection>> {
    const { layout, id } = this.#means;
    const record = readRecord(layout);
    if (isUp(record) && this.machine.isRunning()) {
      const agent = await this.machine.connect(record.shape);
      // One that is just ending still takes a caller.
      if (agent.ok || !(await this.machine.hasEnded(ENDING_WAIT_MS))) return agent;
    }
    const known = this.#refusal(record);
    if (known !== null) return known;
    const locked = await lockWorkspace(layout, id);
    if (!locked.ok) return locked;
    using _lock = locked.value;
    const found = readRecord(layout);
    const now = found === null ? null : await this.settle(found);
    const refused = this.#refusal(now);
    if (refused !== null) return refused;
    return now === null ? this.#missing() : await this.wakeLocked(now);
  }

  /** With the workspace's lock. */
  async wakeLocked(record: VmRecord): Promise<Result<AgentConnection>> {
    if (record.isHeld) {
      const gone = await this.letGo(record);
      if (!gone.ok) return gone;
    }
    if (this.machine.isRunning()) return this.machine.connect(record.shape);
    this.machine.log("its machine had ended: it is started again");
    const { layout } = this.#means;
    writeRecord(layout, { ...record, state: "restarting" });
    const booted = await this.boot(record);
    writeRecord(layout, { ...record, state: "running" });
    return booted;
  }

  /**
   * With the workspace's lock, so that whoever was between two states is dead: ends what they left
   * half started or half stopped, and answers the record as it is then.
   */
  async settle(record: VmRecord): Promise<VmRecord> {
    const state = settledState(record);
    if (state === null) return record;
    if (record.state === "stopping") await this.machine.stop(record.shape);
    else await this.machine.kill();
    const settled = { ...record, state, isHeld: false };
    writeRecord(this.#means.layout, settled);
    this.machine.log(`${record.state} was cut short: it is ${state} now`);
    return settled;
  }

  /** The same for whoever only looks: nothing happens where somebody is at work on it. */
  async settleAbandoned(): Promise<void> {
    const { layout } = this.#means;
    const seen = readRecord(layout);
    if (seen === null || settledState(seen) === null) return;
    using lock = tryLockFile(layout.lock);
    const record = lock === null ? null : readRecord(layout);
    if (record !== null) await this.settle(record);
  }

  /** With the workspace's lock. Lets a machine go on that a killed process held. */
  async letGo(record: VmRecord): Promise<Result<void>> {
    const gone = await this.machine.letGo();
    if (gone.ok) writeRecordIfRoom(this.#means.layout, { ...record, isHeld: false });
    return gone;
  }

  /** Starts it from its disk. Whatever of it still runs is ended: a disk has one machine. */
  async boot(record: VmRecord): Promise<Result<AgentConnection>> {
    const image = await this.#means.provideImage(record.image);
    if (!image.ok) return image;
    await this.machine.kill();
    this.machine.removeStrayDisks();
    const booted = await this.machine.boot(image.value, record);
    if (booted.ok) this.machine.log("started");
    else await this.machine.kill();
    return booted;
  }

  /** Begins from what was frozen: where the machine was, or with its disk alone. */
  async resume(
    record: VmRecord,
    { frozen, isLive }: { readonly frozen: Golden; readonly isLive: boolean },
  ): Promise<Result<AgentConnection>> {
    if (isLive) return this.machine.fork(frozen, record);
    const copied = await copyOverlay(frozen, this.#means.layout.disk);
    return copied.ok ? this.boot(record) : copied;
  }

  isStopped(): Result<never> {
    const { id } = this.#means;
    return failureWith("workspace-stopped", `VM must be Running: ${id} is stopped`, {
      hint: `\`mycelium workspace start ${id}\``,
    });
  }

  halfRestored(): Result<never> {
    return workspaceFailure(`${this.#means.id} is only half restored`, {
      hint: "restore it again, to this snapshot or another",
      details: { reason: "broken" },
    });
  }

  #refusal(record: VmRecord | null): Result<never> | null {
    if (!isWhole(record)) return this.#missing();
    if (record.state === "stopped" || record.state === "stopping") return this.isStopped();
    return record.state === "restoring" ? this.halfRestored() : null;
  }

  #missing(): Result<never> {
    return failureWith("workspace-missing", `there is no workspace ${this.#means.id} any more`);
  }
}

function isUp(record: VmRecord | null): record is VmRecord {
  return record?.state === "running" && !record.isHeld;
}
