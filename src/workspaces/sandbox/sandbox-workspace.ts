import type { Result } from "../../domain/failure.ts";
import type { ProcessResult } from "../../lib/process.ts";
import { asText, unstartable } from "../local-workspace.ts";
import { removeFolder } from "../remove-folder.ts";
import type { ExecRequest, ExecResult, Workspace, WorkspaceLimits } from "../workspace.ts";
import type { SandboxCgroups } from "./cgroups.ts";
import { collectInside } from "./collect.ts";
import { enter, type EnterRequest } from "./enter.ts";
import { readInside, writeInside, type RunInside } from "./files.ts";
import { INSIDE } from "./layout.ts";
import { removeUnusedLayers } from "./layers.ts";
import type { SandboxRecord } from "./record.ts";
import { cgroupsOf, endSandbox, ensureRunning, type SandboxPlace } from "./runtime.ts";

export interface SandboxTimeouts {
  readonly checkoutTimeoutMs: number;
  readonly collectTimeoutMs: number;
  readonly filesTimeoutMs: number;
  readonly removeTimeoutMs: number;
  readonly bundleBytesMax: number;
  /** Of each stream of a command, where the request does not say. */
  readonly outputBytesMax: number;
}

export interface SandboxMeans {
  readonly place: SandboxPlace;
  readonly record: SandboxRecord;
  /** What its commands get. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeouts: SandboxTimeouts;
}

/** Threads and processes that a sandbox may have where nobody says. */
export const PIDS_DEFAULT = 4096;

/** Namespaces that a first process holds, over an overlay whose upper layer is the sandbox's own. */
export class SandboxWorkspace implements Workspace {
  readonly id: string;
  readonly kind = "sandbox";
  readonly repositoryDir = INSIDE.repository;
  readonly contextDir = INSIDE.context;
  readonly #means: SandboxMeans;
  readonly #limits: WorkspaceLimits;
  readonly #cgroups: SandboxCgroups;
  /** Commands that run now, so that destroying can end and await them. */
  readonly #running = new Set<Promise<unknown>>();
  readonly #destroyed = new AbortController();

  constructor(means: SandboxMeans) {
    this.id = means.place.id;
    this.#means = means;
    this.#limits = { pids: PIDS_DEFAULT, ...means.record.limits };
    this.#cgroups = cgroupsOf(means.place.layout, { ...means.record, limits: this.#limits });
  }

  async exec(request: ExecRequest): Promise<ExecResult> {
    const { command, outputBytesMax = this.#means.timeouts.outputBytesMax, env, ...rest } = request;
    if (request.signal?.aborted === true)
      return { ...unstartable(""), ending: { kind: "aborted" } };
    const result = await this.#enter({
      ...rest,
      command: typeof command === "string" ? ["/bin/sh", "-c", command] : command,
      env: this.#environment(env),
      outputBytesMax,
    });
    return { ...result, stdout: asText(result.stdout), stderr: asText(result.stderr) };
  }

  writeFile(path: string, content: string | Buffer): Promise<Result<void>> {
    return writeInside(this.#runOwn, path, content);
  }

  readFile(path: string, options: { readonly bytesMax: number }): Promise<Result<Buffer>> {
    return readInside(this.#runOwn, path, options.bytesMax);
  }

  collect(
    base: string,
  ): Promise<Result<{ readonly bundle: string | null; readonly head: string }>> {
    const { place, timeouts } = this.#means;
    return collectInside({
      base,
      outbox: place.layout.outbox,
      bundleBytesMax: timeouts.bundleBytesMax,
      stream: ({ env, ...request }) =>
        this.#enter({
          ...request,
          env: this.#environment(env),
          outputBytesMax: OWN_OUTPUT_BYTES_MAX,
          timeoutMs: timeouts.collectTimeoutMs,
        }),
    });
  }

  async destroy(): Promise<void> {
    this.#destroyed.abort();
    const { place, timeouts } = this.#means;
    await endSandbox(place.layout);
    await Promise.allSettled(this.#running);
    await this.#cgroups.remove();
    await removeFolder(place.layout.folder, timeouts.removeTimeoutMs);
    await removeUnusedLayers(place.home, timeouts.removeTimeoutMs);
  }

  /** Starts it where it does not run, and awaits whatever it is. */
  async start(): Promise<Result<void>> {
    const started = await ensureRunning(this.#means.place, this.#cgroups);
    return started.ok ? { ok: true, value: undefined } : started;
  }

  readonly #runOwn: RunInside = (request) =>
    this.#enter({
      ...request,
      env: this.#environment({}),
      timeoutMs: this.#means.timeouts.filesTimeoutMs,
    });

  async #enter(
    request: Omit<EnterRequest, "running" | "cgroups" | "limits">,
  ): Promise<ProcessResult> {
    const entering = this.#enterNow(request);
    this.#running.add(entering);
    try {
      return await entering;
    } finally {
      this.#running.delete(entering);
    }
  }

  async #enterNow(
    request: Omit<EnterRequest, "running" | "cgroups" | "limits">,
  ): Promise<ProcessResult> {
    const { place } = this.#means;
    if (this.#destroyed.signal.aborted) return nothing("the workspace was destroyed");
    const running = await ensureRunning(place, this.#cgroups);
    if (!running.ok) return nothing(running.failure.message);
    const signals = [this.#destroyed.signal, ...(request.signal ? [request.signal] : [])];
    return enter({
      ...request,
      running: running.value,
      cgroups: this.#cgroups,
      limits: this.#limits,
      signal: AbortSignal.any(signals),
    });
  }

  /** By the identity a process knows its workspace; no request can change it. */
  #environment(given: Readonly<Record<string, string>> | undefined): Record<string, string> {
    return {
      PATH: DEFAULT_PATH,
      ...this.#means.env,
      ...given,
      HOME: INSIDE.home,
      USER: "agent",
      TMPDIR: INSIDE.temporary,
      GIT_CEILING_DIRECTORIES: "/",
      MYCELIUM_WORKSPACE_ID: this.id,
      MYCELIUM_WORKSPACE_DIR: INSIDE.repository,
    };
  }
}

const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";
/** Of what our own scripts say. */
const OWN_OUTPUT_BYTES_MAX = 16_384;

function nothing(message: string): ProcessResult {
  const none = { bytes: Buffer.alloc(0), totalBytes: 0, droppedBytes: 0 };
  return { ending: { kind: "unstartable", message }, stdout: none, stderr: none, durationMs: 0 };
}
