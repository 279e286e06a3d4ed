import { Refusal, type Result } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import type { ExecRequest, ExecResult, Workspace } from "../workspace.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { collectBundle } from "./collect.ts";
import { makeExecTails, outputOf, unstartable } from "./exec-output.ts";
import { GuestLost, GuestRefusal, type GuestCommand } from "./guest-connection.ts";
import type { GuestPool } from "./guest-pool.ts";
import { GUEST } from "./layout.ts";

export interface DockerWorkspaceMeans {
  readonly id: string;
  readonly pool: GuestPool;
  /** On the host, for bundles. */
  readonly outbox: string;
  /** What its commands get on top of the image's own environment; asked each time. */
  env(): Readonly<Record<string, string>>;
  readonly limits: DockerLimits;
  remove(): Promise<void>;
}

export interface DockerLimits {
  readonly collectTimeoutMs: number;
  readonly bundleBytesMax: number;
  /** Of each stream of a command, where the request does not say. */
  readonly outputBytesMax: number;
  readonly fileTimeoutMs: number;
}

/** A container. Its commands run as its own user; the agent that starts them as its root. */
export class DockerWorkspace implements Workspace {
  readonly id: string;
  readonly kind = "docker";
  readonly repositoryDir = GUEST.repository;
  readonly contextDir = GUEST.context;
  /** For what is built upon this class. */
  protected readonly means: DockerWorkspaceMeans;
  readonly #running = new Set<Promise<unknown>>();
  readonly #destroyed = new AbortController();

  constructor(means: DockerWorkspaceMeans) {
    this.id = means.id;
    this.means = means;
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
    const { fileTimeoutMs } = this.means.limits;
    return this.onFile(path, async () =>
      this.means.pool.use((guest) =>
        guest.write(fileOf(path), [Buffer.from(content)], fileTimeoutMs),
      ),
    );
  }

  readFile(path: string, options: { readonly bytesMax: number }): Promise<Result<Buffer>> {
    return this.onFile(path, async () => {
      const pieces: Buffer[] = [];
      const asked = [...fileOf(path), options.bytesMax, 0, -1];
      const { fileTimeoutMs } = this.means.limits;
      await this.means.pool.use((guest) =>
        guest.read("R", asked, fileTimeoutMs, (piece) => pieces.push(piece)),
      );
      return Buffer.concat(pieces);
    });
  }

  collect(
    base: string,
  ): Promise<Result<{ readonly bundle: string | null; readonly head: string }>> {
    const { outbox, limits } = this.means;
    const { collectTimeoutMs: timeoutMs, bundleBytesMax } = limits;
    return collectBundle({ workspace: this, outbox, base, timeoutMs, bundleBytesMax });
  }

  async destroy(): Promise<void> {
    this.#destroyed.abort();
    this.means.pool.end();
    await this.means.remove();
    await Promise.allSettled(this.#running);
  }

  async #run(request: ExecRequest): Promise<ExecResult> {
    const startedAtMs = systemClock.monotonic();
    const duration = (): number => systemClock.monotonic() - startedAtMs;
    const tails = makeExecTails(request.outputBytesMax ?? this.means.limits.outputBytesMax);
    const signals = [this.#destroyed.signal, ...(request.signal ? [request.signal] : [])];
    const signal = AbortSignal.any(signals);
    const command: GuestCommand = {
      ...USER,
      cwd: request.cwd ?? GUEST.repository,
      command:
        typeof request.command === "string" ? ["/bin/sh", "-c", request.command] : request.command,
      env: { ...this.means.env(), ...request.env, ...identityOf(this.id) },
      stdin: request.stdin,
      timeoutMs: request.timeoutMs,
      signal,
      onOutput: (stream, chunk) => {
        tails[stream].push(chunk);
        request.onOutput?.(stream, chunk);
      },
    };
    try {
      const ending = signal.aborted
        ? ({ kind: "aborted" } as const)
        : await this.means.pool.use((guest) => guest.run(command));
      const [stdout, stderr] = [outputOf(tails.stdout), outputOf(tails.stderr)];
      return { ending, stdout, stderr, durationMs: duration() };
    } catch (error) {
      if (error instanceof Refusal) return unstartable(error.message, duration());
      throw error;
    }
  }

  protected async onFile<T>(path: string, act: () => Promise<T>): Promise<Result<T>> {
    try {
      return { ok: true, value: await act() };
    } catch (error) {
      if (error instanceof Refusal) return { ok: false, failure: error.failure };
      if (!(error instanceof GuestRefusal || error instanceof GuestLost)) throw error;
      const reason = error instanceof GuestRefusal ? error.reason : "lost";
      return workspaceFailure(`${path}: ${error.message}`, { details: { path, reason } });
    }
  }
}

export const USER = {
  uid: GUEST.uid,
  gid: GUEST.gid,
  roots: GUEST.roots,
  base: GUEST.repository,
} as const;

/** What the host says of itself means nothing in a container: the image has its own. */
const HOSTS_OWN = new Set(["PATH", "HOME", "USER"]);

/** The environment of a workspace's commands, beside the image's and what a request adds. */
export function commandEnvironment(
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const kept = Object.entries(given).filter(([name]) => !HOSTS_OWN.has(name));
  return {
    ...Object.fromEntries(kept),
    HOME: GUEST.home,
    USER: GUEST.user,
    TMPDIR: GUEST.temporary,
    GIT_CEILING_DIRECTORIES: "/:/home",
  };
}

export function identityOf(id: string): Record<string, string> {
  return { MYCELIUM_WORKSPACE_ID: id, MYCELIUM_WORKSPACE_DIR: GUEST.repository };
}

export function fileOf(path: string): readonly (string | number)[] {
  return [GUEST.uid, GUEST.gid, GUEST.roots, GUEST.repository, path];
}
