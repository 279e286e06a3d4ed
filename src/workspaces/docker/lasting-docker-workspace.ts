import { Refusal, type Result } from "../../domain/failure.ts";
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
import { workspaceFailure } from "../workspace-failure.ts";
import { DockerWorkspace, type DockerWorkspaceMeans } from "./docker-workspace.ts";
import { readJob, signalJob, startJob } from "./jobs.ts";
import { containerName } from "./layout.ts";
import { buildContainer } from "./make-workspace.ts";
import { openPortForwards, type PortForwards } from "./ports.ts";
import { writeRecord, type WorkspaceRecord } from "./record.ts";
import { folderOf, type Shop } from "./shop.ts";
import { findSnapshot, requireRecord, takeSnapshot } from "./snapshots.ts";
import { download, editFile, listFiles, upload } from "./transfers.ts";

/** What a command's environment must not be taken over by. */
const FORBIDDEN_VARIABLE = /^(?:PATH|IFS|ENV|BASH_ENV|LD_.*|MYCELIUM_.*)$/;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A container that is kept. All that is known of it is in its record, for any process to read. */
export class LastingDockerWorkspace extends DockerWorkspace implements LastingWorkspace {
  readonly #shop: Shop;
  readonly #forwards: PortForwards;

  constructor(means: DockerWorkspaceMeans, shop: Shop) {
    super(means);
    this.#shop = shop;
    this.#forwards = openPortForwards(means.pool);
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
      ports: this.#forwards.list(),
      forkedFrom: record.base,
    };
  }

  start(): Promise<Result<void>> {
    return this.#attempt(async () => {
      if (await this.#isRunning()) return workspaceFailure(`${this.id} is running already`);
      await this.#keep({ wanted: "running" });
      await this.#shop.engine.startContainer(this.#container());
      return DONE;
    });
  }

  stop(): Promise<Result<void>> {
    return this.#attempt(async () => {
      if (!(await this.#isRunning())) return workspaceFailure(`${this.id} is stopped already`);
      await this.#keep({ wanted: "stopped" });
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
    return this.#attempt(async () => {
      const bad = Object.entries(variables).find(
        ([name, value]) =>
          !VARIABLE.test(name) || FORBIDDEN_VARIABLE.test(name) || value.includes("\0"),
      );
      if (bad !== undefined) return workspaceFailure(`the variable ${bad[0]} cannot be set`);
      await this.#requireRunning();
      return this.#keep({ variables: { ...this.#record().variables, ...variables } });
    });
  }

  unsetEnv(names: readonly string[]): Promise<Result<void>> {
    return this.#attempt(async () => {
      await this.#requireRunning();
      const left = Object.entries(this.#record().variables).filter(
        ([name]) => !names.includes(name),
      );
      return this.#keep({ variables: Object.fromEntries(left) });
    });
  }

  listEnv(): Promise<Result<Readonly<Record<string, string>>>> {
    return this.#attempt(async () => ({ ok: true, value: this.#record().variables }));
  }

  editFile(
    path: string,
    edit: { readonly from: string; readonly to: string },
  ): Promise<Result<void>> {
    return editFile(this, path, edit);
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
    return this.#attempt(() => takeSnapshot(this.#shop, this.#record(), name));
  }

  restore(snapshot: string): Promise<Result<void>> {
    return this.#attempt(async () => {
      const found = await findSnapshot(this.#shop, snapshot);
      if (!found.ok) return found;
      if (found.value.snapshot.workspace !== this.id) {
        return workspaceFailure(`${snapshot} is not a snapshot of ${this.id}`, {
          hint: "fork it instead",
        });
      }
      const variables = { ...found.value.variables };
      const at = { base: snapshot, standsOn: snapshot, variables, wanted: "running" } as const;
      await this.#keep({ ...at, state: "restoring" });
      this.means.pool.end();
      await finishRestore(this.#record(), this.#shop);
      return DONE;
    });
  }

  forwardPort(request: {
    readonly guestPort: number;
    readonly hostPort?: number;
  }): Promise<Result<PortForward>> {
    return this.#attempt(async () => {
      await this.#requireRunning();
      return this.#forwards.open(request.guestPort, request.hostPort);
    });
  }

  async closePort(guestPort: number): Promise<Result<void>> {
    await this.#forwards.close(guestPort);
    return DONE;
  }

  override async destroy(): Promise<void> {
    await this.#forwards.closeAll();
    await super.destroy();
  }

  #record(): WorkspaceRecord {
    return requireRecord(this.#shop, this.id);
  }

  async #keep(change: Partial<WorkspaceRecord>): Promise<Result<void>> {
    await writeRecord(folderOf(this.#shop, this.id), { ...this.#record(), ...change });
    return DONE;
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
    if (!(await this.#isRunning())) throw notRunning();
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

  async #attempt<T>(act: () => Promise<Result<T>>): Promise<Result<T>> {
    return this.#attemptOn("", act);
  }

  async #attemptOn<T>(path: string, act: () => Promise<Result<T>>): Promise<Result<T>> {
    const tried = await this.onFile(path === "" ? this.id : path, act);
    return tried.ok ? tried.value : tried;
  }
}

const DONE = { ok: true, value: undefined } as const;

/** In the words that scripts know. */
export function notRunning(): Refusal {
  return new Refusal("workspace-stopped", "VM must be Running", {
    hint: "start the workspace first",
  });
}

/** Makes the container anew from the snapshot that the record names; may be repeated. */
export async function finishRestore(record: WorkspaceRecord, shop: Shop): Promise<void> {
  await shop.engine.removeContainer(containerName(shop.home, record.id));
  await buildContainer(record, shop);
  await writeRecord(folderOf(shop, record.id), { ...record, state: "ready" });
}
