import type { Result } from "../domain/failure.ts";
import type {
  ExecEnding,
  ExecRequest,
  Workspace,
  WorkspaceLimits,
  WorkspaceNetwork,
  WorkspaceProvider,
  WorkspaceRequest,
  WorkspaceSeed,
} from "./workspace.ts";

/**
 * A workspace that is kept: it outlives the process that made it, is stopped and started, remembers
 * variables and jobs, and can be snapshotted and forked. A run's attempts need only the core.
 */
export interface LastingWorkspace extends Workspace {
  info(): Promise<WorkspaceInfo>;
  /** Refuses where it runs already. */
  start(): Promise<Result<void>>;
  /** Ends everything that runs in it; files, variables and snapshots stay. Refuses where it is stopped. */
  stop(): Promise<Result<void>>;
  /** The end of what the kind itself wrote about it: a console, or its runtime's complaints. */
  logs(request: {
    readonly source: "console" | "runtime";
    readonly bytesMax: number;
  }): Promise<Result<string>>;

  /** Starts a command in the background. It goes on when this process ends. */
  startJob(request: JobRequest): Promise<Result<{ readonly job: string }>>;
  /** Reads on from offsets; any part can be read again. */
  readJob(request: JobReadRequest): Promise<Result<JobReading>>;
  /** The whole tree of the job gets the signal. */
  signalJob(request: {
    readonly job: string;
    readonly signal: "SIGTERM" | "SIGKILL" | "SIGINT";
  }): Promise<Result<void>>;

  /** Kept over restarts and given to forks. Refused on a stopped workspace: "VM must be Running". */
  setEnv(variables: Readonly<Record<string, string>>): Promise<Result<void>>;
  unsetEnv(names: readonly string[]): Promise<Result<void>>;
  listEnv(): Promise<Result<Readonly<Record<string, string>>>>;

  /** Replaces the only occurrence; refuses where there is none or more than one. */
  editFile(
    path: string,
    edit: { readonly from: string; readonly to: string },
  ): Promise<Result<void>>;
  /** One level. */
  listFiles(path: string): Promise<Result<readonly FileEntry[]>>;
  /** Any size, in pieces. The answer's hash is of what arrived. */
  upload(hostPath: string, path: string): Promise<Result<Transfer>>;
  /** The same, up to `DOWNLOAD_BYTES_MAX`: a larger file is refused as `too-large`. */
  download(path: string, hostPath: string): Promise<Result<Transfer>>;

  /** Freezes the state under a name: a node of the tree, child of what this workspace stands on. */
  snapshot(name: string): Promise<Result<Snapshot>>;
  /** Back to a snapshot of this workspace; what came after is lost unless it was snapshotted. */
  restore(snapshot: string): Promise<Result<void>>;

  /** Opens a port of the workspace on loopback; the answer names the real one. */
  forwardPort(request: {
    readonly guestPort: number;
    readonly hostPort?: number;
  }): Promise<Result<PortForward>>;
  closePort(guestPort: number): Promise<Result<void>>;

  /**
   * What of the network it reaches from its next start on: kept over restarts, and never widened by a
   * restore. Refused while it runs. A kind that keeps what it was made with has no such thing.
   */
  setNetwork?(network: WorkspaceNetwork): Promise<Result<void>>;
}

export interface WorkspaceInfo {
  readonly id: string;
  readonly kind: string;
  readonly state: "running" | "stopped" | "broken";
  readonly hostname: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly limits: WorkspaceLimits;
  readonly network: WorkspaceNetwork;
  readonly ports: readonly PortForward[];
  /** The snapshot that it stands on; `null` for one that was created. */
  readonly forkedFrom: string | null;
}

export interface PortForward {
  readonly guestPort: number;
  readonly hostPort: number;
}

export type JobRequest = Pick<ExecRequest, "command" | "cwd" | "env" | "stdin"> & {
  /** When it passes, the job's whole tree is killed. */
  readonly timeoutMs: number;
};

export interface JobReadRequest {
  readonly job: string;
  readonly stdoutFrom: number;
  readonly stderrFrom: number;
  readonly bytesMax: number;
}

export interface JobReading {
  /** `null` while it runs. */
  readonly ending: ExecEnding | null;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** How much there is by now. */
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
}

export interface FileEntry {
  readonly name: string;
  readonly kind: "file" | "folder" | "link" | "other";
  readonly bytes: number;
  readonly mode: number;
  readonly modifiedMs: number;
}

export interface Transfer {
  readonly bytes: number;
  readonly sha256: string;
}

/** A frozen state. Its id is `<workspace>@<name>`, and stays when the workspace is gone. */
export interface Snapshot {
  readonly id: string;
  readonly name: string;
  readonly workspace: string;
  readonly parent: string | null;
  readonly createdAt: string;
  /** Whether running processes and memory are in it. */
  readonly live: boolean;
  /** Workspaces and snapshots that stand on it. It can be deleted at none. */
  readonly references: number;
}

export type LastingRequest = Omit<WorkspaceRequest, "seed"> & {
  /** `null` starts with an empty folder in the repository's place. */
  readonly seed: WorkspaceSeed | null;
};

export type ForkRequest = Omit<WorkspaceRequest, "seed" | "image">;

export interface LastingProvider extends WorkspaceProvider {
  create(request: LastingRequest): Promise<Result<LastingWorkspace>>;
  find(request: {
    readonly id: string;
    readonly env: Readonly<Record<string, string>>;
  }): Promise<LastingWorkspace | null>;
  /**
   * Sets right what killed processes left between two states, and removes what nothing needs from
   * the kind's caches; answers in words what it removed from those, or would. A kind that has
   * neither leaves it out.
   */
  tidy?(request: { readonly nowMs: number; readonly dryRun: boolean }): Promise<readonly string[]>;
  listSnapshots(): Promise<readonly Snapshot[]>;
  /** Refused while anything stands on it. */
  deleteSnapshot(id: string): Promise<Result<void>>;
  /**
   * Workspaces from a snapshot, in parallel, each with its own host name, machine id, clock and
   * random state. One answer a request, in order; the others stay where one fails.
   */
  fork(
    snapshot: string,
    forks: readonly ForkRequest[],
  ): Promise<readonly Result<LastingWorkspace>[]>;
}
