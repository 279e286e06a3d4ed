import type { Result } from "../domain/failure.ts";

/** Output as it comes. Chunks are raw bytes; a callback must not throw. */
export type OutputListener = (stream: "stdout" | "stderr", chunk: Buffer) => void;

export interface ExecRequest {
  /** A command line for `/bin/sh -c`, or a program with its arguments. */
  readonly command: string | readonly [string, ...string[]];
  /** Inside the workspace; the repository by default. */
  readonly cwd?: string;
  /** Added to the workspace's own small environment. Nothing is inherited from Mycelium's. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  /** When it passes, the whole process tree is killed. */
  readonly timeoutMs: number;
  /** How much of each stream the result keeps (its end); the listener always sees everything. */
  readonly outputBytesMax?: number;
  readonly onOutput?: OutputListener;
  /** Aborting kills the whole process tree. */
  readonly signal?: AbortSignal;
}

/** How a command ended. `unstartable` means that no process came to be. */
export type ExecEnding =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  | { readonly kind: "timed-out" }
  | { readonly kind: "aborted" }
  | { readonly kind: "unstartable"; readonly message: string };

export interface ExecOutput {
  /** The last `outputBytesMax` bytes, as UTF-8. */
  readonly text: string;
  readonly totalBytes: number;
  readonly droppedBytes: number;
}

export interface ExecResult {
  readonly ending: ExecEnding;
  readonly stdout: ExecOutput;
  readonly stderr: ExecOutput;
  readonly durationMs: number;
}

/** Where a workspace's private clone starts. */
export interface WorkspaceSeed {
  /** The repository's common git directory on the host. */
  readonly gitDir: string;
  readonly objectFormat: "sha1" | "sha256";
  readonly commit: string;
  /** The branch that is checked out in the clone, at `commit`. */
  readonly branch: string;
}

/** What a workspace may use. What is left out is the kind's own default; see `docs/isolation.md`. */
export interface WorkspaceLimits {
  /** Cores; fractions count. */
  readonly cpus?: number | undefined;
  readonly memoryMb?: number | undefined;
  /** Of what is written, beside what the workspace was made of. */
  readonly diskMb?: number | undefined;
  readonly pids?: number | undefined;
}

/** `none`: nothing gets out, not even to this machine. `allow`: whatever the machine itself reaches. */
export type WorkspaceNetwork = "none" | "allow";

export interface WorkspaceRequest {
  readonly id: string;
  readonly seed: WorkspaceSeed;
  /** The whole environment of its commands, on top of what the kind itself needs. */
  readonly env: Readonly<Record<string, string>>;
  readonly limits?: WorkspaceLimits | undefined;
  /** `allow` by default. A kind that cannot hold `none` refuses it. */
  readonly network?: WorkspaceNetwork | undefined;
  /** Name of an image, for kinds that are made of one; the kind's default where it is left out. */
  readonly image?: string | undefined;
}

/** Whether this machine can have workspaces of a kind, found out by trying. */
export type WorkspaceProbe =
  | { readonly kind: "available"; readonly details: string }
  | { readonly kind: "missing"; readonly what: string; readonly hint: string };

/**
 * An isolated place with files and commands. All paths are paths inside the workspace, absolute, or
 * relative to the repository.
 */
export interface Workspace {
  readonly id: string;
  readonly kind: WorkspaceKind;
  /** The private clone. */
  readonly repositoryDir: string;
  /** Beside the clone, so that nothing in it is ever committed: spec, manifest, feedback. */
  readonly contextDir: string;
  exec(request: ExecRequest): Promise<ExecResult>;
  /** Creates missing folders. Refuses paths that leave the workspace, symbolic links included. */
  writeFile(path: string, content: string | Buffer): Promise<Result<void>>;
  readFile(path: string, options: { readonly bytesMax: number }): Promise<Result<Buffer>>;
  /**
   * Brings `base..HEAD` out as a git bundle whose only ref is `HEAD`, and answers its path on the
   * host, below the workspace's folder. An unchanged HEAD answers `null`.
   */
  collect(base: string): Promise<Result<{ readonly bundle: string | null; readonly head: string }>>;
  /** Kills what runs in it and removes it. May be called twice. */
  destroy(): Promise<void>;
}

export const WORKSPACE_KINDS = ["local", "sandbox", "docker", "vm"] as const;

export type WorkspaceKind = (typeof WORKSPACE_KINDS)[number];

/** Makes and finds the workspaces of one kind. */
export interface WorkspaceProvider {
  readonly kind: WorkspaceKind;
  /** What this kind does and does not hold, in one sentence for people. */
  readonly isolation: string;
  probe(): Promise<WorkspaceProbe>;
  create(request: WorkspaceRequest): Promise<Result<Workspace>>;
  /** An earlier process's workspace, by id; `null` where there is none or it is only half made. */
  find(request: {
    readonly id: string;
    readonly env: Readonly<Record<string, string>>;
  }): Promise<Workspace | null>;
  list(): Promise<readonly string[]>;
  /**
   * Ends every process that a workspace's earlier life left behind, by identity, and answers how
   * many there were. For recovery: nobody else may be using the workspace.
   */
  endLeftovers(id: string): Promise<number>;
  /** Removes a workspace by id, half-made ones too. May be called twice. */
  remove(id: string): Promise<void>;
}

/** What clean-up needs of a kind. */
export type WorkspaceFinder = Pick<WorkspaceProvider, "find" | "list" | "remove">;
