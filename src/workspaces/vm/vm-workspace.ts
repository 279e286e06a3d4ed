import type { Result } from "../../domain/failure.ts";
import { removeFolder } from "../remove-folder.ts";
import type { ExecRequest, ExecResult, Workspace } from "../workspace.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { execInGuest, unstartable } from "./agent-exec.ts";
import { readGuestFile, writeGuestFile } from "./agent-requests.ts";
import { collectFromGuest } from "./collect.ts";
import { CONTEXT, guestEnvironment, guestPath, REPOSITORY } from "./guest.ts";
import type { VmMachine } from "./vm-machine.ts";
import { readRecord, type VmLayout } from "./vm-record.ts";

export interface VmWorkspaceMeans {
  readonly id: string;
  readonly layout: VmLayout;
  readonly machine: VmMachine;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: VmLimits;
  /** A conversation with the machine, which is started where it does not run. */
  readonly connect: () => Promise<Result<AgentConnection>>;
}

export interface VmLimits {
  readonly checkoutTimeoutMs: number;
  readonly collectTimeoutMs: number;
  readonly removeTimeoutMs: number;
  readonly bundleBytesMax: number;
  /** Of each stream of a command, where the request does not say. */
  readonly outputBytesMax: number;
}

/** A machine of its own. Commands run as its root; what they can reach ends at its edge. */
export class VmWorkspace implements Workspace {
  readonly id: string;
  readonly kind = "vm";
  readonly repositoryDir = REPOSITORY;
  readonly contextDir = CONTEXT;
  readonly #means: VmWorkspaceMeans;
  readonly #destroyed = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  constructor(means: VmWorkspaceMeans) {
    this.id = means.id;
    this.#means = means;
  }

  async exec(request: ExecRequest): Promise<ExecResult> {
    const running = this.#run(request);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  writeFile(path: string, content: string | Buffer): Promise<Result<void>> {
    return this.withPath(path, (agent, absolute) =>
      writeGuestFile(agent, { path: absolute, content: Buffer.from(content) }),
    );
  }

  readFile(path: string, options: { readonly bytesMax: number }): Promise<Result<Buffer>> {
    return this.withPath(path, async (agent, absolute) => {
      const chunks: Buffer[] = [];
      const onPiece = (piece: Buffer): void => void chunks.push(piece);
      const read = await readGuestFile(agent, { path: absolute, ...options, onPiece });
      return read.ok ? { ok: true, value: Buffer.concat(chunks) } : read;
    });
  }

  async collect(
    base: string,
  ): Promise<Result<{ readonly bundle: string | null; readonly head: string }>> {
    const agent = await this.#connect();
    if (!agent.ok) return agent;
    const { layout, limits } = this.#means;
    return collectFromGuest(agent.value, {
      base,
      objectFormat: readRecord(layout)?.seed?.objectFormat ?? "sha1",
      outbox: layout.outbox,
      timeoutMs: limits.collectTimeoutMs,
      bundleBytesMax: limits.bundleBytesMax,
      destroyed: this.#destroyed.signal,
    });
  }

  async destroy(): Promise<void> {
    this.#destroyed.abort();
    const { machine, layout, limits } = this.#means;
    await machine.kill();
    await Promise.allSettled(this.#running);
    await removeFolder(layout.folder, limits.removeTimeoutMs);
  }

  /** Everything that a command of it gets, beside what its request says. */
  environment(given: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
    return {
      ...guestEnvironment(this.#means.env),
      ...given,
      MYCELIUM_WORKSPACE_ID: this.id,
      MYCELIUM_WORKSPACE_DIR: REPOSITORY,
    };
  }

  async #run(request: ExecRequest): Promise<ExecResult> {
    const cwd = guestPath(request.cwd ?? REPOSITORY);
    if (!cwd.ok) return unstartable(cwd.failure.message);
    if (request.signal?.aborted === true) {
      return { ...unstartable(""), ending: { kind: "aborted" } };
    }
    const agent = await this.#connect();
    if (!agent.ok) return unstartable(agent.failure.message);
    const { limits } = this.#means;
    return execInGuest(agent.value, {
      ...request,
      cwd: cwd.value,
      env: this.environment(request.env),
      outputBytesMax: request.outputBytesMax ?? limits.outputBytesMax,
      destroyed: this.#destroyed.signal,
    });
  }

  async #connect(): Promise<Result<AgentConnection>> {
    if (this.#destroyed.signal.aborted) return workspaceFailure("the workspace is destroyed");
    return this.#means.connect();
  }

  /** Acts on a path inside; what fails names it. */
  async withPath<T>(
    path: string,
    act: (agent: AgentConnection, absolute: string) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    const absolute = guestPath(path);
    if (!absolute.ok) return absolute;
    const agent = await this.#connect();
    if (!agent.ok) return agent;
    const done = await act(agent.value, absolute.value);
    if (done.ok) return done;
    const { message, details } = done.failure;
    return workspaceFailure(`${path}: ${message}`, { details: { ...details, path } });
  }
}
