import type { Result } from "../../domain/failure.ts";
import type { ProcessResult } from "../../lib/process.ts";
import { editFileIn, type FileEdit } from "../edit-file.ts";
import { appendEvent, readLogEnd } from "../event-log.ts";
import { readJobFiles } from "../job-files.ts";
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
import { asText, unstartable } from "../local-workspace.ts";
import { closePortOf, forwardsOf, type PortRequest } from "../ports/open-ports.ts";
import { withoutVariables, withVariables, type Variables } from "../variables.ts";
import type { ExecRequest, ExecResult, WorkspaceNetwork } from "../workspace.ts";
import { failureWith, workspaceFailure } from "../workspace-failure.ts";
import type { SandboxCgroups } from "./cgroups.ts";
import { collectInside } from "./collect.ts";
import { enter, type EnterRequest } from "./enter.ts";
import { readInside, writeInside, type RunInside } from "./files.ts";
import { signalSandboxJob, startSandboxJob } from "./jobs.ts";
import { INSIDE } from "./layout.ts";
import { changeNetwork } from "./network.ts";
import { openPort } from "./ports.ts";
import {
  limitsOf,
  readRecord,
  readWhole,
  writeRecord,
  type RunningRecord,
  type SandboxRecord,
} from "./record.ts";
import { removeSandbox } from "./remove.ts";
import { ownSnapshotId, restoreSandbox } from "./restore.ts";
import {
  cgroupsOf,
  changing,
  endSandbox,
  ensureRunning,
  findRunning,
  missing,
  startLocked,
  wantedRunning,
  type SandboxPlace,
} from "./runtime.ts";
import { snapshotSandbox } from "./snapshots.ts";
import { downloadInside, listInside, uploadInside } from "./transfer.ts";

export interface SandboxTimeouts {
  readonly checkoutTimeoutMs: number;
  readonly collectTimeoutMs: number;
  readonly filesTimeoutMs: number;
  /** Of a layer that is copied because something runs on it. */
  readonly copyTimeoutMs: number;
  readonly removeTimeoutMs: number;
  readonly bundleBytesMax: number;
  /** Of each stream of a command, where the request does not say. */
  readonly outputBytesMax: number;
  /** Of each stream of a background command; its beginning is kept. */
  readonly jobOutputBytesMax: number;
}

export interface SandboxMeans {
  readonly place: SandboxPlace;
  /** As it was when the workspace was found: what changes is read anew each time. */
  readonly record: SandboxRecord;
  /** What its commands get, before its own variables. */
  readonly env: Variables;
  readonly timeouts: SandboxTimeouts;
}

const DONE = { ok: true, value: undefined } as const;
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";
/** Of what our own scripts say. */
const OWN_OUTPUT_BYTES_MAX = 16_384;

type Entering = Omit<EnterRequest, "running" | "cgroups" | "limits">;

/** Namespaces that a first process holds, over an overlay whose upper layer is the sandbox's own. */
export class SandboxWorkspace implements LastingWorkspace {
  readonly id: string;
  readonly kind = "sandbox";
  readonly repositoryDir = INSIDE.repository;
  readonly contextDir = INSIDE.context;
  readonly #means: SandboxMeans;
  readonly #place: SandboxPlace;
  readonly #cgroups: SandboxCgroups;
  /** Commands that run now, so that destroying can end and await them. */
  readonly #running = new Set<Promise<unknown>>();
  readonly #destroyed = new AbortController();

  constructor(means: SandboxMeans) {
    this.id = means.place.id;
    this.#means = means;
    this.#place = means.place;
    this.#cgroups = cgroupsOf(means.place.layout, means.record);
  }

  async exec(request: ExecRequest): Promise<ExecResult> {
    const { command, outputBytesMax = this.#means.timeouts.outputBytesMax, env, ...rest } = request;
    if (request.signal?.aborted === true)
      return { ...unstartable(""), ending: { kind: "aborted" } };
    const record = wantedRunning(this.#place);
    if (!record.ok) return unstartable(record.failure.message);
    const result = await this.#enter({
      ...rest,
      command: typeof command === "string" ? ["/bin/sh", "-c", command] : command,
      env: this.#environment(record.value, env),
      outputBytesMax,
    });
    return { ...result, stdout: asText(result.stdout), stderr: asText(result.stderr) };
  }

  writeFile(path: string, content: string | Buffer): Promise<Result<void>> {
    return this.#whereWanted(() => writeInside(this.#runOwn, path, content));
  }

  readFile(path: string, options: { readonly bytesMax: number }): Promise<Result<Buffer>> {
    return this.#whereWanted(() => readInside(this.#runOwn, path, options.bytesMax));
  }

  editFile(path: string, edit: FileEdit): Promise<Result<void>> {
    return editFileIn(this, path, edit);
  }

  listFiles(path: string): Promise<Result<readonly FileEntry[]>> {
    return this.#whereWanted(() => listInside(this.#runOwn, path));
  }

  upload(hostPath: string, path: string): Promise<Result<Transfer>> {
    return this.#whereWanted(() => uploadInside(this.#runOwn, { hostPath, path }));
  }

  download(path: string, hostPath: string): Promise<Result<Transfer>> {
    return this.#whereWanted(() => downloadInside(this.#runOwn, { hostPath, path }));
  }

  collect(
    base: string,
  ): Promise<Result<{ readonly bundle: string | null; readonly head: string }>> {
    const { timeouts } = this.#means;
    return this.#whereWanted(async (record) => {
      if (record.seed === null) return workspaceFailure(`${this.id} was not seeded`);
      return collectInside({
        base,
        outbox: this.#place.layout.outbox,
        bundleBytesMax: timeouts.bundleBytesMax,
        stream: ({ env, ...request }) =>
          this.#enter({
            ...request,
            // What its owner sets is for the worker's programs, not for ours.
            env: { ...this.#environment({ ...record, variables: {} }, env) },
            outputBytesMax: OWN_OUTPUT_BYTES_MAX,
            timeoutMs: timeouts.collectTimeoutMs,
          }),
      });
    });
  }

  async destroy(): Promise<void> {
    this.#destroyed.abort();
    await removeSandbox(this.#place, {
      timeoutMs: this.#means.timeouts.removeTimeoutMs,
      awaitCommands: async () => void (await Promise.allSettled(this.#running)),
    });
  }

  async info(): Promise<WorkspaceInfo> {
    const { layout } = this.#place;
    const record = readWhole(layout);
    const running = findRunning(layout);
    const known = record ?? this.#means.record;
    // One that was ended by something else runs no more, whatever its owner asked for.
    const state = running === null ? "stopped" : "running";
    return {
      id: this.id,
      kind: this.kind,
      state: record === null ? "broken" : state,
      hostname: known.hostname,
      createdAt: known.createdAt,
      limits: known.limits,
      network: known.network,
      ports: running === null ? [] : forwardsOf(layout.folder),
      forkedFrom: known.forkedFrom,
    };
  }

  start(): Promise<Result<void>> {
    return this.#change(async (record) => {
      if (findRunning(this.#place.layout) !== null) {
        return workspaceFailure(`${this.id} is running already`);
      }
      writeRecord(this.#place.layout, { ...record, wanted: "running" });
      const started = await startLocked(this.#place, this.#cgroups);
      if (!started.ok) return started;
      this.#log("started");
      return DONE;
    });
  }

  /** Written down first, so that nothing new begins while what runs is ended. */
  stop(): Promise<Result<void>> {
    return this.#change(async (record) => {
      const wanted = wantedRunning(this.#place);
      if (!wanted.ok) return wanted;
      writeRecord(this.#place.layout, { ...record, wanted: "stopped" });
      await endSandbox(this.#place.layout);
      this.#log("stopped");
      return DONE;
    });
  }

  async logs(request: {
    readonly source: "console" | "runtime";
    readonly bytesMax: number;
  }): Promise<Result<string>> {
    if (request.source === "console") {
      return failureWith("workspace-unsupported", "a sandbox has no console", {
        hint: "a vm has one; `runtime` tells what happened to this one",
      });
    }
    return { ok: true, value: await readLogEnd(this.#place.layout.log, request.bytesMax) };
  }

  async startJob(request: JobRequest): Promise<Result<{ readonly job: string }>> {
    const running = await ensureRunning(this.#place, this.#cgroups);
    if (!running.ok) return running;
    return this.#whereWanted((record) =>
      startSandboxJob({
        place: this.#place,
        request,
        env: this.#environment(record, request.env),
        outputBytesMax: this.#means.timeouts.jobOutputBytesMax,
      }),
    );
  }

  readJob(request: JobReadRequest): Promise<Result<JobReading>> {
    return readJobFiles(this.#place.layout.jobs, request);
  }

  signalJob(request: {
    readonly job: string;
    readonly signal: "SIGTERM" | "SIGKILL" | "SIGINT";
  }): Promise<Result<void>> {
    return signalSandboxJob(this.#place, this.#cgroups, request);
  }

  setEnv(variables: Variables): Promise<Result<void>> {
    return this.#changeWanted((record) => {
      const all = withVariables(record.variables, variables);
      if (!all.ok) return all;
      writeRecord(this.#place.layout, { ...record, variables: all.value });
      return DONE;
    });
  }

  unsetEnv(names: readonly string[]): Promise<Result<void>> {
    return this.#changeWanted((record) => {
      const variables = withoutVariables(record.variables, names);
      writeRecord(this.#place.layout, { ...record, variables });
      return DONE;
    });
  }

  async listEnv(): Promise<Result<Variables>> {
    const record = readWhole(this.#place.layout);
    return record === null ? missing(this.id) : { ok: true, value: record.variables };
  }

  snapshot(name: string): Promise<Result<Snapshot>> {
    return this.#change<Snapshot>(async () => {
      const { copyTimeoutMs: timeoutMs } = this.#means.timeouts;
      const means = { place: this.#place, cgroups: this.#cgroups };
      const taken = await snapshotSandbox({ ...means, name, timeoutMs });
      if (taken.ok) this.#log(`snapshotted as ${taken.value.id}`);
      return taken;
    });
  }

  restore(snapshot: string): Promise<Result<void>> {
    return this.#change(async () => {
      const { removeTimeoutMs: timeoutMs } = this.#means.timeouts;
      const means = { place: this.#place, cgroups: this.#cgroups };
      const restored = await restoreSandbox({ ...means, snapshot, timeoutMs });
      if (restored.ok) this.#log(`restored to ${ownSnapshotId(this.id, snapshot)}`);
      return restored;
    });
  }

  async forwardPort(request: PortRequest): Promise<Result<PortForward>> {
    const ensured = await ensureRunning(this.#place, this.#cgroups);
    if (!ensured.ok) return ensured;
    return this.#changeWanted(async () => {
      const running = findRunning(this.#place.layout);
      if (running === null) return workspaceFailure(`${this.id} ended`);
      return openPort(this.#place, running, request);
    });
  }

  closePort(guestPort: number): Promise<Result<void>> {
    return this.#change(() => closePortOf(this.#place.layout.folder, guestPort));
  }

  setNetwork(network: WorkspaceNetwork): Promise<Result<void>> {
    return this.#change((record) => changeNetwork(this.#place, record, network));
  }

  readonly #runOwn: RunInside = (request) =>
    this.#enter({
      timeoutMs: this.#means.timeouts.filesTimeoutMs,
      ...request,
      env: this.#environment({ ...this.#means.record, variables: {} }, {}),
    });

  async #enter(request: Entering): Promise<ProcessResult> {
    const entering = this.#enterNow(request);
    this.#running.add(entering);
    try {
      return await entering;
    } finally {
      this.#running.delete(entering);
    }
  }

  async #enterNow(request: Entering): Promise<ProcessResult> {
    if (this.#destroyed.signal.aborted) return nothing("the workspace was destroyed");
    const running: Result<RunningRecord> = await ensureRunning(this.#place, this.#cgroups);
    if (!running.ok) return nothing(running.failure.message);
    const signals = [this.#destroyed.signal, ...(request.signal ? [request.signal] : [])];
    return enter({
      ...request,
      running: running.value,
      cgroups: this.#cgroups,
      limits: limitsOf(this.#means.record),
      signal: AbortSignal.any(signals),
    });
  }

  /** By the identity a process knows its workspace; no request can change it. */
  #environment(record: SandboxRecord, given: Variables | undefined): Record<string, string> {
    return {
      PATH: DEFAULT_PATH,
      HOSTNAME: record.hostname,
      ...this.#means.env,
      ...record.variables,
      ...given,
      HOME: INSIDE.home,
      USER: "agent",
      TMPDIR: INSIDE.temporary,
      GIT_CEILING_DIRECTORIES: "/",
      MYCELIUM_WORKSPACE_ID: this.id,
      MYCELIUM_WORKSPACE_DIR: INSIDE.repository,
    };
  }

  #log(event: string): void {
    appendEvent(this.#place.layout.log, event);
  }

  async #whereWanted<T>(act: (record: SandboxRecord) => Promise<Result<T>>): Promise<Result<T>> {
    const record = wantedRunning(this.#place);
    return record.ok ? act(record.value) : record;
  }

  /** One change at a time, also of other processes. */
  #change<T>(
    change: (record: SandboxRecord) => Promise<Result<T>> | Result<T>,
  ): Promise<Result<T>> {
    return changing(this.#place, () => {
      const record = readRecord(this.#place.layout);
      return record?.state === "ready" ? change(record) : missing(this.id);
    });
  }

  #changeWanted<T>(
    change: (record: SandboxRecord) => Promise<Result<T>> | Result<T>,
  ): Promise<Result<T>> {
    return this.#change((record) => {
      const wanted = wantedRunning(this.#place);
      return wanted.ok ? change(record) : wanted;
    });
  }
}

function nothing(message: string): ProcessResult {
  const none = { bytes: Buffer.alloc(0), totalBytes: 0, droppedBytes: 0 };
  return { ending: { kind: "unstartable", message }, stdout: none, stderr: none, durationMs: 0 };
}
