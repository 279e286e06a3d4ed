import { hostname } from "node:os";
import { join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { systemClock, timestamp } from "../lib/clock.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { endMarkedProcesses } from "../lib/process.ts";
import { lockFile } from "../lib/file-lock.ts";
import { folderInside, type Confinement } from "./confined-files.ts";
import { editFileIn, type FileEdit } from "./edit-file.ts";
import { appendEvent, readLogEnd } from "./event-log.ts";
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
} from "./lasting-workspace.ts";
import { hasJobs, readJobFiles } from "./job-files.ts";
import { signalLocalJob, startLocalJob } from "./local-jobs.ts";
import { identityOf, processMarker, type LocalLayout } from "./local-layout.ts";
import { isWhole, readRecord, writeRecord, type LocalRecord } from "./local-record.ts";
import { restoreLocal } from "./local-restore.ts";
import { describeSnapshot, takeSnapshot, type SnapshotPlaces } from "./local-snapshots.ts";
import { downloadFrom, listConfined, uploadInto } from "./local-transfer.ts";
import { unstartable, type LocalWorkspace } from "./local-workspace.ts";
import { isListening } from "./loopback-port.ts";
import { withoutVariables, withVariables, type Variables } from "./variables.ts";
import type { ExecRequest, ExecResult } from "./workspace.ts";
import { failureWith, workspaceFailure } from "./workspace-failure.ts";
import { snapshotId } from "./workspace-name.ts";

export interface LastingLocalMeans {
  readonly core: LocalWorkspace;
  readonly layout: LocalLayout;
  readonly places: SnapshotPlaces;
  /** What its commands get, before its own variables. */
  readonly env: Variables;
  readonly jobOutputBytesMax: number;
}

type Change<T> = (record: LocalRecord) => Promise<Result<T>> | Result<T>;

const DONE = { ok: true, value: undefined } as const;

/** A local workspace that is kept: its state is in its record, never in this process. */
export class LastingLocalWorkspace implements LastingWorkspace {
  readonly id: string;
  readonly kind = "local";
  readonly repositoryDir: string;
  readonly contextDir: string;
  readonly #means: LastingLocalMeans;
  readonly #confinement: Confinement;

  constructor(means: LastingLocalMeans) {
    const { core, layout } = means;
    this.id = core.id;
    this.repositoryDir = core.repositoryDir;
    this.contextDir = core.contextDir;
    this.#means = means;
    this.#confinement = { root: layout.folder, base: layout.repository };
  }

  async exec(request: ExecRequest): Promise<ExecResult> {
    const record = this.#running();
    if (!record.ok) return unstartable(record.failure.message);
    const env = { ...this.#variables(record.value), ...request.env };
    return this.#means.core.exec({ ...request, env });
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
    const { core, layout } = this.#means;
    const record = readRecord(layout);
    if (record !== null) writeRecord(layout, { ...record, state: "removing" });
    crashPoint("workspace.removing");
    if (hasJobs(layout.jobs)) await endMarkedProcesses(processMarker(layout));
    await core.destroy();
  }

  async info(): Promise<WorkspaceInfo> {
    const record = this.#record();
    const state = record?.state === "restoring" ? "broken" : (record?.state ?? "broken");
    return {
      id: this.id,
      kind: this.kind,
      state: state === "running" || state === "stopped" ? state : "broken",
      // The machine's own: nothing gives a plain process another.
      hostname: hostname(),
      createdAt: record?.createdAt ?? timestamp(systemClock),
      limits: {},
      network: "allow",
      ports: (record?.ports ?? []).map(samePort),
      forkedFrom: record?.forkedFrom ?? null,
    };
  }

  start(): Promise<Result<void>> {
    return this.#change((record) => {
      if (record.state === "restoring") return this.#halfRestored();
      if (record.state === "running") return workspaceFailure(`${this.id} is running already`);
      this.#write({ ...record, state: "running" }, "started");
      return DONE;
    });
  }

  /** Written down first, so that nothing new begins while what runs is ended. */
  stop(): Promise<Result<void>> {
    return this.#change(async (record) => {
      const isRunning = this.#running();
      if (!isRunning.ok) return isRunning;
      this.#write({ ...record, state: "stopped" }, "stopped");
      await endMarkedProcesses(processMarker(this.#means.layout));
      return DONE;
    });
  }

  async logs(request: {
    readonly source: "console" | "runtime";
    readonly bytesMax: number;
  }): Promise<Result<string>> {
    if (request.source === "console") {
      return failureWith("workspace-unsupported", "a local workspace has no console", {
        hint: "a vm has one; `runtime` tells what happened to this one",
      });
    }
    return { ok: true, value: await readLogEnd(this.#means.layout.log, request.bytesMax) };
  }

  async startJob(request: JobRequest): Promise<Result<{ readonly job: string }>> {
    const record = this.#running();
    if (!record.ok) return record;
    const cwd = await folderInside(this.#confinement, request.cwd ?? this.repositoryDir);
    if (!cwd.ok) return cwd;
    const { layout, env, jobOutputBytesMax: outputBytesMax } = this.#means;
    return startLocalJob({
      layout,
      request,
      cwd: cwd.value,
      env: { ...env, ...this.#variables(record.value) },
      identity: identityOf(this.id, layout),
      outputBytesMax,
    });
  }

  readJob(request: JobReadRequest): Promise<Result<JobReading>> {
    return readJobFiles(this.#means.layout.jobs, request);
  }

  signalJob(request: {
    readonly job: string;
    readonly signal: "SIGTERM" | "SIGKILL" | "SIGINT";
  }): Promise<Result<void>> {
    return signalLocalJob(this.#means.layout, request);
  }

  setEnv(variables: Variables): Promise<Result<void>> {
    return this.#changeRunning((record) => {
      const all = withVariables(record.variables, variables);
      if (!all.ok) return all;
      writeRecord(this.#means.layout, { ...record, variables: all.value });
      return DONE;
    });
  }

  unsetEnv(names: readonly string[]): Promise<Result<void>> {
    return this.#changeRunning((record) => {
      const variables = withoutVariables(record.variables, names);
      writeRecord(this.#means.layout, { ...record, variables });
      return DONE;
    });
  }

  async listEnv(): Promise<Result<Variables>> {
    const record = this.#record();
    return record === null ? this.#missing() : { ok: true, value: record.variables };
  }

  editFile(path: string, edit: FileEdit): Promise<Result<void>> {
    return editFileIn(this, path, edit);
  }

  listFiles(path: string): Promise<Result<readonly FileEntry[]>> {
    return listConfined(this.#confinement, path);
  }

  upload(hostPath: string, path: string): Promise<Result<Transfer>> {
    return uploadInto(this.#confinement, { hostPath, path });
  }

  download(path: string, hostPath: string): Promise<Result<Transfer>> {
    return downloadFrom(this.#confinement, { path, hostPath });
  }

  /** What comes after follows on the snapshot: so does the workspace itself. */
  snapshot(name: string): Promise<Result<Snapshot>> {
    return this.#change<Snapshot>(async (record) => {
      if (record.state === "restoring") return this.#halfRestored();
      const { places, layout } = this.#means;
      const taken = await takeSnapshot({ places, id: this.id, layout, record, name });
      if (!taken.ok) return taken;
      const standsOn = snapshotId(this.id, name);
      this.#write({ ...record, standsOn }, `snapshotted as ${standsOn}`);
      return { ok: true, value: describeSnapshot(places, taken.value) };
    });
  }

  restore(snapshot: string): Promise<Result<void>> {
    return this.#change(async (record) => {
      const { places, layout } = this.#means;
      const restored = await restoreLocal({ places, id: this.id, layout, record, snapshot });
      if (restored.ok) this.#log(`restored to ${snapshot}`);
      return restored;
    });
  }

  forwardPort(request: {
    readonly guestPort: number;
    readonly hostPort?: number;
  }): Promise<Result<PortForward>> {
    const { guestPort, hostPort = guestPort } = request;
    return this.#changeRunning(async (record) => {
      if (hostPort !== guestPort) {
        return failureWith(
          "workspace-unsupported",
          "a local workspace's ports are the machine's own: another number cannot lead to them",
        );
      }
      if (!(await isListening(guestPort))) {
        return workspaceFailure(`nothing listens at port ${guestPort} of 127.0.0.1`, {
          hint: "start what listens there first, with `workspace job start`",
        });
      }
      const ports = [...new Set([...record.ports, guestPort])];
      writeRecord(this.#means.layout, { ...record, ports });
      return { ok: true, value: samePort(guestPort) };
    });
  }

  closePort(guestPort: number): Promise<Result<void>> {
    return this.#change((record) => {
      if (!record.ports.includes(guestPort)) {
        return workspaceFailure(`port ${guestPort} was not opened`);
      }
      const ports = record.ports.filter((port) => port !== guestPort);
      writeRecord(this.#means.layout, { ...record, ports });
      return DONE;
    });
  }

  #record(): LocalRecord | null {
    const record = readRecord(this.#means.layout);
    return isWhole(record) ? record : null;
  }

  #running(): Result<LocalRecord> {
    const record = this.#record();
    if (record === null) return this.#missing();
    if (record.state === "restoring") return this.#halfRestored();
    if (record.state === "running") return { ok: true, value: record };
    return failureWith("workspace-stopped", `VM must be Running: ${this.id} is stopped`, {
      hint: `\`mycelium workspace start ${this.id}\``,
    });
  }

  #variables(record: LocalRecord): Variables {
    // A fork's is not its source's: the variable is all of a host name that a plain process can have.
    const own = record.forkedFrom === null ? {} : { HOSTNAME: this.id };
    return { ...own, ...record.variables };
  }

  #write(record: LocalRecord, event: string): void {
    writeRecord(this.#means.layout, record);
    this.#log(event);
  }

  #log(event: string): void {
    appendEvent(this.#means.layout.log, event);
  }

  #missing(): Result<never> {
    return failureWith("workspace-missing", `there is no workspace ${this.id} any more`);
  }

  #halfRestored(): Result<never> {
    return workspaceFailure(`${this.id} is only half restored`, {
      hint: "restore it again, to this snapshot or another",
      details: { reason: "broken" },
    });
  }

  #changeRunning<T>(change: Change<T>): Promise<Result<T>> {
    return this.#change((record) => {
      const running = this.#running();
      return running.ok ? change(record) : running;
    });
  }

  /** One change at a time, also of other processes. */
  async #change<T>(change: Change<T>): Promise<Result<T>> {
    const path = join(this.#means.layout.folder, "lock");
    using lock = await lockFile(path);
    const record = this.#record();
    if (record === null) return this.#missing();
    if (lock === null) return workspaceFailure(`another process is changing ${this.id}`);
    return change(record);
  }
}

function samePort(port: number): PortForward {
  return { guestPort: port, hostPort: port };
}
