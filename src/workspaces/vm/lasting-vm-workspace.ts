import type { Result } from "../../domain/failure.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { editFileIn, type FileEdit } from "../edit-file.ts";
import type {
  FileEntry,
  JobReading,
  JobReadRequest,
  JobRequest,
  LastingWorkspace,
  PortForward,
  Snapshot,
  Transfer,
  WorkspaceInfo,
} from "../lasting-workspace.ts";
import { exists } from "../local-layout.ts";
import { closePortOf, closePortsOf, forwardsOf } from "../ports/open-ports.ts";
import { withoutVariables, withVariables, type Variables } from "../variables.ts";
import { runsWithNetwork } from "../network-change.ts";
import type { ExecRequest, ExecResult, WorkspaceNetwork } from "../workspace.ts";
import { failureWith, workspaceFailure } from "../workspace-failure.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { unstartable } from "./agent-exec.ts";
import { downloadFromGuest, listGuestFolder, uploadToGuest } from "./agent-files.ts";
import { removeUnusedLayers, type VmPlaces } from "./disk-layers.ts";
import { readGuestJob, signalGuestJob, startGuestJob } from "./guest-jobs.ts";
import { guestPath } from "./guest.ts";
import { openVmPort } from "./ports.ts";
import { describeSnapshot } from "./snapshot-records.ts";
import { restoreSnapshot, takeSnapshot } from "./snapshots.ts";
import type { VmKeeper } from "./vm-keeper.ts";
import { keepConsole, readEnd } from "./vm-logs.ts";
import { hostnameOf, lockWorkspace } from "./vm-machine.ts";
import {
  isWhole,
  markRemoving,
  readRecord,
  writeRecord,
  type VmLayout,
  type VmRecord,
} from "./vm-record.ts";
import type { VmWorkspace } from "./vm-workspace.ts";

export interface LastingVmMeans {
  readonly core: VmWorkspace;
  readonly layout: VmLayout;
  readonly places: VmPlaces;
  readonly keeper: VmKeeper;
}

const DONE = { ok: true, value: undefined } as const;
const HASH_TIMEOUT_MS = 600_000;

/** A machine that is kept: what is known of it is in its record, for any process to read. */
export class LastingVmWorkspace implements LastingWorkspace {
  readonly id: string;
  readonly kind = "vm";
  readonly repositoryDir: string;
  readonly contextDir: string;
  readonly #means: LastingVmMeans;

  constructor(means: LastingVmMeans) {
    const { core } = means;
    this.id = core.id;
    this.repositoryDir = core.repositoryDir;
    this.contextDir = core.contextDir;
    this.#means = means;
  }

  async exec(request: ExecRequest): Promise<ExecResult> {
    const record = this.#record();
    if (record === null) return unstartable(`there is no workspace ${this.id} any more`);
    return this.#means.core.exec({ ...request, env: this.#environment(record, request.env) });
  }

  writeFile(path: string, content: string | Buffer): Promise<Result<void>> {
    return this.#means.core.writeFile(path, content);
  }

  readFile(path: string, options: { readonly bytesMax: number }): Promise<Result<Buffer>> {
    return this.#means.core.readFile(path, options);
  }

  collect(
    base: string,
  ): Promise<Result<{ readonly bundle: string | null; readonly head: string }>> {
    return this.#means.core.collect(base);
  }

  async destroy(): Promise<void> {
    const { core, layout, places } = this.#means;
    if (!exists(layout.folder)) return;
    markRemoving(layout);
    crashPoint("workspace.removing");
    await closePortsOf(layout.folder);
    await core.destroy();
    await removeUnusedLayers(places);
  }

  async info(): Promise<WorkspaceInfo> {
    const { keeper, layout } = this.#means;
    await keeper.settleAbandoned();
    const record = this.#record();
    const shape = record?.shape;
    return {
      id: this.id,
      kind: this.kind,
      state: record === null ? "broken" : keeper.stateOf(record),
      hostname: hostnameOf(this.id),
      createdAt: record?.createdAt ?? new Date(0).toISOString(),
      limits: {
        cpus: record?.cpus,
        memoryMb: shape?.memoryMb,
        diskMb: shape?.diskMb,
        pids: record?.pids,
      },
      network: shape?.network === "allow" ? "allow" : "none",
      ports: forwardsOf(layout.folder),
      forkedFrom: record?.forkedFrom ?? null,
    };
  }

  start(): Promise<Result<void>> {
    return this.#change(async (record) => {
      const { keeper, layout } = this.#means;
      if (record.state === "restoring") return keeper.halfRestored();
      if (keeper.stateOf(record) === "running") {
        return workspaceFailure(`${this.id} is running already`);
      }
      writeRecord(layout, { ...record, state: "starting", isHeld: false });
      crashPoint("start.intended");
      const booted = await keeper.boot(record);
      crashPoint("start.answered");
      const state = booted.ok ? "running" : "stopped";
      writeRecord(layout, { ...record, state, isHeld: false });
      return booted.ok ? DONE : booted;
    });
  }

  /** Written down first, so that nothing new begins while what runs is ended. */
  stop(): Promise<Result<void>> {
    return this.#change(async (record) => {
      const { keeper, layout } = this.#means;
      if (record.state === "stopped") return keeper.isStopped();
      if (record.isHeld) await keeper.letGo(record);
      writeRecord(layout, { ...record, state: "stopping", isHeld: false });
      crashPoint("stop.intended");
      await closePortsOf(layout.folder);
      await keeper.machine.stop(record.shape);
      crashPoint("stop.ended");
      writeRecord(layout, { ...record, state: "stopped", isHeld: false });
      keeper.machine.log("stopped");
      return DONE;
    });
  }

  async logs(request: {
    readonly source: "console" | "runtime";
    readonly bytesMax: number;
  }): Promise<Result<string>> {
    const { layout, keeper } = this.#means;
    if (request.source === "runtime") {
      return { ok: true, value: await readEnd(layout.log, request.bytesMax) };
    }
    return this.#change(async () => {
      if (keeper.machine.isRunning()) {
        const kept = await keeper.machine.withMonitor(async (monitor) => {
          await keepConsole(layout, monitor);
          return DONE;
        });
        if (!kept.ok) return kept;
      }
      return { ok: true, value: await readEnd(layout.console, request.bytesMax) };
    });
  }

  async startJob(request: JobRequest): Promise<Result<{ readonly job: string }>> {
    const record = this.#record();
    const cwd = guestPath(request.cwd ?? this.repositoryDir);
    if (!cwd.ok) return cwd;
    return this.#withAgent((agent) => {
      const own = record === null ? {} : this.#environment(record, request.env);
      const env = this.#means.core.environment(own);
      return startGuestJob(agent, { ...request, cwd: cwd.value, env });
    });
  }

  readJob(request: JobReadRequest): Promise<Result<JobReading>> {
    return this.#withAgent((agent) => readGuestJob(agent, request));
  }

  signalJob(request: {
    readonly job: string;
    readonly signal: "SIGTERM" | "SIGKILL" | "SIGINT";
  }): Promise<Result<void>> {
    return this.#withAgent((agent) => signalGuestJob(agent, request));
  }

  setEnv(variables: Variables): Promise<Result<void>> {
    return this.#changeVariables((old) => withVariables(old, variables));
  }

  unsetEnv(names: readonly string[]): Promise<Result<void>> {
    return this.#changeVariables((old) => ({ ok: true, value: withoutVariables(old, names) }));
  }

  async listEnv(): Promise<Result<Variables>> {
    const record = this.#record();
    return record === null ? this.#missing() : { ok: true, value: record.variables };
  }

  editFile(path: string, edit: FileEdit): Promise<Result<void>> {
    return editFileIn(this, path, edit);
  }

  listFiles(path: string): Promise<Result<readonly FileEntry[]>> {
    return this.#means.core.withPath(path, listGuestFolder);
  }

  /** What arrived is hashed where it arrived. */
  async upload(hostPath: string, path: string): Promise<Result<Transfer>> {
    const sent = await this.#means.core.withPath(path, (agent, absolute) =>
      uploadToGuest(agent, { hostPath, path: absolute }),
    );
    if (!sent.ok) return sent;
    const arrived = await this.#hashOf(path);
    if (!arrived.ok) return arrived;
    if (arrived.value === sent.value.sha256) return sent;
    return workspaceFailure(`${path} did not arrive as it is: something else writes to it`);
  }

  download(path: string, hostPath: string): Promise<Result<Transfer>> {
    return this.#means.core.withPath(path, (agent, absolute) =>
      downloadFromGuest(agent, { path: absolute, hostPath }),
    );
  }

  snapshot(name: string): Promise<Result<Snapshot>> {
    return this.#change<Snapshot>(async (record) => {
      const { keeper, places } = this.#means;
      if (record.state === "restoring") return keeper.halfRestored();
      if (record.state === "running") {
        const awake = await keeper.wakeLocked(record);
        if (!awake.ok) return awake;
      }
      const subject = this.#subject({ ...record, isHeld: false });
      const taken = await takeSnapshot(subject, name);
      if (!taken.ok) return taken;
      // It stood still, and its clock with it.
      if (taken.value.isLive) await keeper.machine.introduce(record);
      keeper.machine.log(`snapshotted as ${name}`);
      return { ok: true, value: describeSnapshot(places, taken.value) };
    });
  }

  restore(snapshot: string): Promise<Result<void>> {
    return this.#change(async (record) => {
      const { keeper } = this.#means;
      const subject = this.#subject(record);
      const restored = await restoreSnapshot(subject, snapshot, (wanted, from) =>
        keeper.resume(wanted, from),
      );
      if (restored.ok) keeper.machine.log(`restored to ${snapshot}`);
      return restored;
    });
  }

  async forwardPort(request: {
    readonly guestPort: number;
    readonly hostPort?: number;
  }): Promise<Result<PortForward>> {
    const awake = await this.#means.keeper.wake();
    if (!awake.ok) return awake;
    return this.#change((record) => {
      const { keeper, layout } = this.#means;
      return record.state === "running" ? openVmPort(layout, this.id, request) : keeper.isStopped();
    });
  }

  closePort(guestPort: number): Promise<Result<void>> {
    return this.#change(() => closePortOf(this.#means.layout.folder, guestPort));
  }

  setNetwork(network: WorkspaceNetwork): Promise<Result<void>> {
    return this.#change((record) => {
      const { keeper, layout } = this.#means;
      if (record.state === "restoring") return keeper.halfRestored();
      if (record.state !== "stopped") return runsWithNetwork(this.id, this.kind);
      writeRecord(layout, { ...record, shape: { ...record.shape, network } });
      keeper.machine.log(`network: ${network}`);
      return DONE;
    });
  }

  #subject(record: VmRecord) {
    const { layout, places, keeper } = this.#means;
    return { places, id: this.id, layout, machine: keeper.machine, record };
  }

  /** Its host name is no shell's own variable: commands get it like any other. */
  #environment({ variables }: VmRecord, given: Variables = {}): Variables {
    return { HOSTNAME: hostnameOf(this.id), ...variables, ...given };
  }

  async #hashOf(path: string): Promise<Result<string>> {
    const { ending, stdout, stderr } = await this.#means.core.exec({
      command: ["sha256sum", "-b", "--", path],
      timeoutMs: HASH_TIMEOUT_MS,
    });
    const hash = /^\\?([0-9a-f]{64}) /.exec(stdout.text)?.[1];
    if (ending.kind === "exited" && ending.code === 0 && hash !== undefined) {
      return { ok: true, value: hash };
    }
    return workspaceFailure(`${path} cannot be read again: ${stderr.text.trim()}`);
  }

  async #withAgent<T>(act: (agent: AgentConnection) => Promise<Result<T>>): Promise<Result<T>> {
    const agent = await this.#means.keeper.wake();
    return agent.ok ? act(agent.value) : agent;
  }

  #record(): VmRecord | null {
    const record = readRecord(this.#means.layout);
    return isWhole(record) ? record : null;
  }

  #missing(): Result<never> {
    return failureWith("workspace-missing", `there is no workspace ${this.id} any more`);
  }

  #changeVariables(change: (old: Variables) => Result<Variables>): Promise<Result<void>> {
    return this.#change((record) => {
      const { keeper, layout } = this.#means;
      if (record.state === "restoring") return keeper.halfRestored();
      if (record.state === "stopped") return keeper.isStopped();
      const variables = change(record.variables);
      if (!variables.ok) return variables;
      writeRecord(layout, { ...record, variables: variables.value });
      return DONE;
    });
  }

  /** One change at a time, also of other processes. */
  async #change<T>(
    change: (record: VmRecord) => Promise<Result<T>> | Result<T>,
  ): Promise<Result<T>> {
    const locked = await lockWorkspace(this.#means.layout, this.id);
    const record = this.#record();
    if (record === null) {
      if (locked.ok) locked.value[Symbol.dispose]();
      return this.#missing();
    }
    if (!locked.ok) return locked;
    using _lock = locked.value;
    return await change(await this.#means.keeper.settle(record));
  }
}
