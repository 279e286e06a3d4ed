import { Refusal, type Result } from "../../domain/failure.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { lockFile } from "../../lib/file-lock.ts";
import { editFileIn } from "../edit-file.ts";
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
import { closePortOf, closePortsOf, forwardsOf } from "../ports/open-ports.ts";
import { withoutVariables, withVariables } from "../variables.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { snapshotId } from "../workspace-name.ts";
import { DockerWorkspace, type DockerWorkspaceMeans } from "./docker-workspace.ts";
import { readJob, signalJob, startJob } from "./jobs.ts";
import { containerName } from "./layout.ts";
import { buildContainer } from "./make-workspace.ts";
import { notRunning } from "./not-running.ts";
import { openPort } from "./ports.ts";
import { readRecord, writeRecord, type WorkspaceRecord } from "./record.ts";
import { folderOf, lockOf, type Shop } from "./shop.ts";
import { findSnapshot, requireRecord, takeSnapshot } from "./snapshots.ts";
import { download, listFiles, upload } from "./transfers.ts";

type Change<T> = (record: WorkspaceRecord) => Promise<Result<T>> | Result<T>;

/** A container that is kept. All that is known of it is in its record, for any process to read. */
export class LastingDockerWorkspace extends DockerWorkspace implements LastingWorkspace {
  readonly #shop: Shop;

  constructor(means: DockerWorkspaceMeans, shop: Shop) {
    super(means);
    this.#shop = shop;
  }

  async info(): Promise<WorkspaceInfo> {
    const record = this.#record();
    const state = await this.#shop.engine.inspectContainer(this.#container());
    return {
      id: this.id,
      kind: this.kind,
      state: state === null ? "broken" : state.running ? "running" : "stopped",
      hostname: record.hostname,
      createdAt: record.createdAt,
      limits: record.limits,
      network: record.network,
      // Whoever keeps one listens on, but leads nowhere while it does not run.
      ports: state?.running === true ? forwardsOf(folderOf(this.#shop, this.id)) : [],
      forkedFrom: record.forkedFrom,
    };
  }

  start(): Promise<Result<void>> {
    return this.#change(async (record) => {
      if (await this.#isRunning()) return workspaceFailure(`${this.id} is running already`);
      await this.#keep(record, { wanted: "running" });
      await this.#shop.engine.startContainer(this.#container());
      return DONE;
    });
  }

  stop(): Promise<Result<void>> {
    return this.#change(async (record) => {
      await this.#requireRunning();
      await this.#keep(record, { wanted: "stopped" });
      await closePortsOf(folderOf(this.#shop, this.id));
      await this.#shop.engine.stopContainer(this.#container());
      return DONE;
    });
  }

  logs(request: {
    readonly source: "console" | "runtime";
    readonly bytesMax: number;
  }): Promise<Result<string>> {
    return this.#attempt(async () => {
      const text =
        request.source === "console"
          ? await this.#shop.engine.readLogs(this.#container())
          : await this.#runtimeReport();
      return { ok: true, value: Buffer.from(text).subarray(-request.bytesMax).toString() };
    });
  }

  startJob(request: JobRequest): Promise<Result<{ readonly job: string }>> {
    return this.#attempt(() => startJob(this.#jobs(), request));
  }

  readJob(request: JobReadRequest): Promise<Result<JobReading>> {
    return this.#attempt(() => readJob(this.#jobs(), request));
  }

  signalJob(request: {
    readonly job: string;
    readonly signal: "SIGTERM" | "SIGKILL" | "SIGINT";
  }): Promise<Result<void>> {
    return this.#attempt(() => signalJob(this.#jobs(), request));
  }

  setEnv(variables: Readonly<Record<string, string>>): Promise<Result<void>> {
    return this.#change(async (record) => {
      await this.#requireRunning();
      const all = withVariables(record.variables, variables);
      return all.ok ? this.#keep(record, { variables: { ...all.value } }) : all;
    });
  }

  unsetEnv(names: readonly string[]): Promise<Result<void>> {
    return this.#change(async (record) => {
      await this.#requireRunning();
      return this.#keep(record, { variables: { ...withoutVariables(record.variables, names) } });
    });
  }

  listEnv(): Promise<Result<Readonly<Record<string, string>>>> {
    return this.#attempt(async () => ({ ok: true, value: this.#record().variables }));
  }

  editFile(
    path: string,
    edit: { readonly from: string; readonly to: string },
  ): Promise<Result<void>> {
    return editFileIn(this, path, edit);
  }

  listFiles(path: string): Promise<Result<readonly FileEntry[]>> {
    return this.#attemptOn(path, () => listFiles(this.means.pool, path));
  }

  upload(hostPath: string, path: string): Promise<Result<Transfer>> {
    return this.#attemptOn(path, () => upload(this, this.means.pool, { hostPath, path }));
  }

  download(path: string, hostPath: string): Promise<Result<Transfer>> {
    return this.#attemptOn(path, () => download(this.means.pool, { hostPath, path }));
  }

  snapshot(name: string): Promise<Result<Snapshot>> {
    return this.#change((record) => takeSnapshot(this.#shop, record, name));
  }

  /** By the snapshot's id, or its name alone. */
  restore(wanted: string): Promise<Result<void>> {
    const snapshot = wanted.includes("@") ? wanted : snapshotId(this.id, wanted);
    return this.#change(async (record) => {
      const found = await findSnapshot(this.#shop, snapshot);
      if (!found.ok) return found;
      if (found.value.snapshot.workspace !== this.id) {
        return workspaceFailure(`${snapshot} is not a snapshot of ${this.id}`, {
          hint: "fork it instead",
          details: { reason: "not-own" },
        });
      }
      const variables = { ...found.value.variables };
      const at = { base: snapshot, standsOn: snapshot, variables, wanted: "running" } as const;
      const restoring = { ...record, ...at, state: "restoring" } as const;
      await writeRecord(folderOf(this.#shop, this.id), restoring);
      crashPoint("restore.intended");
      this.means.pool.end();
      await closePortsOf(folderOf(this.#shop, this.id));
      await finishRestore(restoring, this.#shop);
      return DONE;
    });
  }

  forwardPort(request: {
    readonly guestPort: number;
    readonly hostPort?: number;
  }): Promise<Result<PortForward>> {
    return this.#change(async () => {
      await this.#requireRunning();
      return openPort(this.#shop, this.id, request);
    });
  }

  closePort(guestPort: number): Promise<Result<void>> {
    return this.#change(() => closePortOf(folderOf(this.#shop, this.id), guestPort));
  }

  #record(): WorkspaceRecord {
    return requireRecord(this.#shop, this.id);
  }

  async #keep(record: WorkspaceRecord, change: Partial<WorkspaceRecord>): Promise<Result<void>> {
    await writeRecord(folderOf(this.#shop, this.id), { ...record, ...change });
    return DONE;
  }

  /** One change at a time, also of other processes. */
  #change<T>(change: Change<T>): Promise<Result<T>> {
    return this.#attempt(async () => {
      this.#record();
      using lock = await lockFile(lockOf(this.#shop, this.id));
      const record = this.#record();
      if (lock === null) return workspaceFailure(`another process is changing ${this.id}`);
      return await change(record);
    });
  }

  #container(): string {
    return containerName(this.#shop.home, this.id);
  }

  async #isRunning(): Promise<boolean> {
    const state = await this.#shop.engine.inspectContainer(this.#container());
    if (state !== null) return state.running;
    throw new Refusal("workspace-missing", `the container of ${this.id} is gone`, {
      hint: "it was removed outside of Mycelium: remove the workspace too",
    });
  }

  async #requireRunning(): Promise<void> {
    if (!(await this.#isRunning())) throw notRunning(this.id);
  }

  async #runtimeReport(): Promise<string> {
    const state = await this.#shop.engine.inspectContainer(this.#container());
    if (state === null) return "the container is gone\n";
    if (state.running) return "running\n";
    const why = state.outOfMemory ? " because its memory was used up" : "";
    return `ended with exit code ${state.exitCode}${why}\n${state.error}`;
  }

  #jobs(): Parameters<typeof startJob>[0] {
    return { id: this.id, pool: this.means.pool, env: () => this.means.env() };
  }

  #attempt<T>(act: () => Promise<Result<T>>): Promise<Result<T>> {
    return this.#attemptOn(this.id, act);
  }

  async #attemptOn<T>(path: string, act: () => Promise<Result<T>>): Promise<Result<T>> {
    const tried = await this.onFile(path, act);
    return tried.ok ? tried.value : tried;
  }
}

const DONE = { ok: true, value: undefined } as const;

/** Finishes what a killed process began; waits for one that lives. */
export async function mendRestore(id: string, shop: Shop): Promise<void> {
  using lock = await lockFile(lockOf(shop, id));
  const record = readRecord(folderOf(shop, id));
  if (lock !== null && record?.state === "restoring") await finishRestore(record, shop);
}

/** Makes the container anew from the snapshot that the record names; may be repeated. */
async function finishRestore(record: WorkspaceRecord, shop: Shop): Promise<void> {
  await shop.engine.removeContainer(containerName(shop.home, record.id));
  crashPoint("restore.emptied");
  await buildContainer(record, shop);
  await writeRecord(folderOf(shop, record.id), { ...record, state: "ready" });
}
