import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import type { Result } from "../domain/failure.ts";
import { endMarkedProcesses, runProcess, type ProcessOutput } from "../lib/process.ts";
import { folderInside, readConfined, writeConfined, type Confinement } from "./confined-files.ts";
import { collectBundle } from "./local-collect.ts";
import { DEFAULT_PATH } from "./local-git.ts";
import { identityOf, processMarker, type LocalLayout } from "./local-layout.ts";
import type { SeedRecord } from "./local-record.ts";
import { removeFolder } from "./remove-folder.ts";
import { workspaceFailure } from "./workspace-failure.ts";
import type { ExecOutput, ExecRequest, ExecResult, Workspace } from "./workspace.ts";

export interface LocalWorkspaceMeans {
  readonly id: string;
  readonly layout: LocalLayout;
  /** `null` for one that began empty: nothing can be collected from it. */
  readonly seed: SeedRecord | null;
  /** What its commands get. */
  readonly env: Readonly<Record<string, string>>;
  /** What our own git gets. */
  readonly gitEnvironment: Readonly<Record<string, string>>;
  readonly limits: LocalLimits;
  /** Whether processes of an earlier life may still be running in it. */
  readonly isFound: boolean;
}

export interface LocalLimits {
  readonly checkoutTimeoutMs: number;
  readonly collectTimeoutMs: number;
  readonly removeTimeoutMs: number;
  readonly bundleBytesMax: number;
  /** Of each stream of a command, where the request does not say. */
  readonly outputBytesMax: number;
  /** Of each stream of a background command; its beginning is kept. */
  readonly jobOutputBytesMax: number;
}

/** A folder on this machine. Commands run as the user who runs Mycelium, and nothing holds them. */
export class LocalWorkspace implements Workspace {
  readonly id: string;
  readonly kind = "local";
  readonly repositoryDir: string;
  readonly contextDir: string;
  readonly #means: LocalWorkspaceMeans;
  readonly #confinement: Confinement;
  /** Commands that run now, so that destroying can end and await them. */
  readonly #running = new Set<Promise<unknown>>();
  readonly #destroyed = new AbortController();

  constructor(means: LocalWorkspaceMeans) {
    this.id = means.id;
    this.repositoryDir = means.layout.repository;
    this.contextDir = means.layout.context;
    this.#means = means;
    this.#confinement = { root: means.layout.folder, base: means.layout.repository };
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
    return writeConfined(this.#confinement, path, content);
  }

  readFile(path: string, options: { readonly bytesMax: number }): Promise<Result<Buffer>> {
    return readConfined(this.#confinement, path, options.bytesMax);
  }

  collect(
    base: string,
  ): Promise<Result<{ readonly bundle: string | null; readonly head: string }>> {
    const { layout, seed, gitEnvironment: env, limits } = this.#means;
    const { collectTimeoutMs: timeoutMs, bundleBytesMax } = limits;
    if (seed === null) return Promise.resolve(workspaceFailure(`${this.id} was not seeded`));
    return collectBundle({ layout, seed, base, env, timeoutMs, bundleBytesMax });
  }

  /** Each command ended its own tree; only an earlier life's processes must be looked for. */
  async destroy(): Promise<void> {
    this.#destroyed.abort();
    await Promise.allSettled(this.#running);
    const { layout, limits, isFound } = this.#means;
    if (isFound) await endMarkedProcesses(processMarker(layout));
    await removeFolder(layout.folder, limits.removeTimeoutMs);
  }

  async #run(request: ExecRequest): Promise<ExecResult> {
    const { layout, env, limits } = this.#means;
    const cwd =
      request.cwd === undefined
        ? { ok: true as const, value: layout.repository }
        : await folderInside(this.#confinement, request.cwd);
    if (!cwd.ok) return unstartable(cwd.failure.message);
    const { command } = request;
    // Each command ends its own tree and not its neighbour's.
    const commandId = randomUUID();
    const result = await runProcess({
      command: typeof command === "string" ? ["/bin/sh", "-c", command] : command,
      cwd: cwd.value,
      env: {
        ...env,
        ...request.env,
        ...identityOf(this.id, layout),
        MYCELIUM_COMMAND_ID: commandId,
      },
      ...(request.stdin === undefined ? {} : { stdin: request.stdin }),
      timeoutMs: request.timeoutMs,
      outputBytesMax: request.outputBytesMax ?? limits.outputBytesMax,
      ...(request.onOutput === undefined ? {} : { onOutput: request.onOutput }),
      signal: AbortSignal.any([
        this.#destroyed.signal,
        ...(request.signal ? [request.signal] : []),
      ]),
      marker: `MYCELIUM_COMMAND_ID=${commandId}`,
    });
    return { ...result, stdout: asText(result.stdout), stderr: asText(result.stderr) };
  }
}

/**
 * The environment of a workspace's commands. Git looks for no repository above the workspace, even
 * where a worker removed its own.
 */
export function commandEnvironment(
  layout: LocalLayout,
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  if (given["HOME"] === undefined) mkdirSync(layout.home, { recursive: true });
  return {
    PATH: DEFAULT_PATH,
    HOME: layout.home,
    ...given,
    TMPDIR: layout.temporary,
    GIT_CEILING_DIRECTORIES: layout.folder,
  };
}

export function unstartable(message: string): ExecResult {
  const nothing: ExecOutput = { text: "", totalBytes: 0, droppedBytes: 0 };
  return {
    ending: { kind: "unstartable", message },
    stdout: nothing,
    stderr: nothing,
    durationMs: 0,
  };
}

/** Where the beginning was dropped, so are the rest bytes of a character that was cut through. */
export function asText({ bytes, totalBytes, droppedBytes }: ProcessOutput): ExecOutput {
  let start = 0;
  if (droppedBytes > 0) while (start < 3 && isContinuation(bytes[start])) start += 1;
  return { text: bytes.toString("utf8", start), totalBytes, droppedBytes };
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0b1100_0000) === 0b1000_0000;
}
