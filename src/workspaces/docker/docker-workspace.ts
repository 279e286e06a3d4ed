import { randomUUID } from "node:crypto";
import { Refusal, type Result } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import type { ExecEnding, ExecOutput, ExecRequest, ExecResult, Workspace } from "../workspace.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { collectBundle } from "./collect.ts";
import { makeExecTails, outputOf, unstartable } from "./exec-output.ts";
import {
  GuestLost,
  GuestRefusal,
  type GuestCommand,
  type RecalledEnding,
} from "./guest-connection.ts";
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
    const note = `${NOTES}/${randomUUID()}`;
    const command: GuestCommand = {
      ...USER,
      note,
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
      if (ending.kind !== "lost") return { ending, stdout, stderr, durationMs: duration() };
      const recalled = await this.#recall(note);
      return {
        ending: recalled.ending,
        stdout: withLost(stdout, recalled.stdoutBytes),
        stderr: withLost(stderr, recalled.stderrBytes),
        durationMs: duration(),
      };
    } catch (error) {
      if (error instanceof Refusal) return unstartable(error.message, duration());
      throw error;
    }
  }

  /**
   * How a command ended whose answer was lost: what the container itself knows. Where that cannot be
   * asked it was killed, with the container or by the agent that lost its caller.
   */
  async #recall(note: string): Promise<Recalled> {
    try {
      const { pool } = this.means;
      const { ending, ...bytes } = await pool.useAfterLoss((guest) => guest.recall(note));
      return { ending: ending.kind === "never" ? KILLED : ending, ...bytes };
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof GuestLost)) throw error;
      return { ending: KILLED, stdoutBytes: 0, stderrBytes: 0 };
    }
  }

  protected async onFile<T>(path: string, act: () => Promise<T>): Promise<Result<T>> {
    try {
      return { ok: true, value: await act() };
    } catch (error) {
      if (error instanceof Refusal) return { ok: false, failure: error.failure };
      if (!(error instanceof GuestRefusal || error instanceof GuestLost)) throw error;
      const details = { path, reason: error instanceof GuestRefusal ? error.reason : "lost" };
      const hint =
        error instanceof GuestLost
          ? { hint: "try again: nothing is harmed by doing it twice" }
          : {};
      return workspaceFailure(`${path}: ${error.message}`, { details, ...hint });
    }
  }
}

type Recalled = Omit<RecalledEnding, "ending"> & { readonly ending: ExecEnding };

/** The root's in each container: no command can write there. */
const NOTES = "/var/lib/mycelium/endings";
const KILLED: ExecEnding = { kind: "signalled", signal: "SIGKILL" };

/** Output that was lost on its way counts as dropped. */
function withLost(output: ExecOutput, totalBytes: number): ExecOutput {
  const lost = Math.max(0, totalBytes - output.totalBytes);
  const { text, droppedBytes } = output;
  return { text, totalBytes: output.totalBytes + lost, droppedBytes: droppedBytes + lost };
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
