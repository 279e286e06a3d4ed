import type { Socket } from "node:net";
import type Docker from "dockerode";
import type { ContainerCreateOptions } from "dockerode";
import { engineReader } from "./frames.ts";
import { withDeadline } from "../../lib/deadline.ts";
import { Refusal, type FailureCode } from "../../domain/failure.ts";

/** Where the engine listens: a socket's path or an address. */
export type EngineAddress =
  | { readonly socketPath: string }
  | { readonly host: string; readonly port: number };

export interface ContainerState {
  readonly id: string;
  readonly running: boolean;
  /** Ended by the kernel because the memory was used up. */
  readonly outOfMemory: boolean;
  readonly exitCode: number;
  /** What the engine has to complain of; mostly empty. */
  readonly error: string;
}

export interface ListedContainer {
  readonly labels: Readonly<Record<string, string>>;
  readonly running: boolean;
}

export interface EngineFacts {
  readonly version: string;
  readonly cpus: number;
  readonly memoryBytes: number;
}

/**
 * What Mycelium asks of Docker Engine. Every trouble is a `Refusal`: `workspace-unavailable` where
 * the engine does not answer, `workspace-missing` and `workspace-exists` where a container is not
 * there or there already, `image-missing`, and `workspace-failed` for all else that it refuses.
 */
export interface Engine {
  facts(): Promise<EngineFacts>;
  createContainer(options: ContainerCreateOptions): Promise<string>;
  startContainer(container: string): Promise<void>;
  /** SIGTERM to its first process, and soon SIGKILL. */
  stopContainer(container: string): Promise<void>;
  killContainer(container: string): Promise<void>;
  /** `null` where there is none. */
  inspectContainer(container: string): Promise<ContainerState | null>;
  /** With all that runs in it. A container that is not there is fine. */
  removeContainer(container: string): Promise<void>;
  /** Labels of all containers that carry these, stopped ones too. */
  listContainers(labels: Readonly<Record<string, string>>): Promise<readonly ListedContainer[]>;
  /** Unpacks a tar archive at `/`, keeping what it says about owners. */
  putArchive(container: string, archive: Buffer): Promise<void>;
  /** Starts a command as the container's root; both its outputs come in the engine's blocks. */
  execute(container: string, command: readonly string[]): Promise<Socket>;
  hasImage(image: string): Promise<boolean>;
  /** Makes an image of one layer from a tar archive of its root file system. */
  importImage(archive: NodeJS.ReadableStream, image: string): Promise<void>;
  /** Freezes a container's files as an image; whatever runs in it waits meanwhile. */
  commitContainer(
    container: string,
    image: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<void>;
  /** Of all images that carry these. */
  listImages(
    labels: Readonly<Record<string, string>>,
  ): Promise<readonly Readonly<Record<string, string>>[]>;
  removeImage(image: string): Promise<void>;
  /** What its first process wrote, the end of it. */
  readLogs(container: string): Promise<string>;
  tagImage(image: string, repository: string, tag: string): Promise<void>;
}

const ANSWER_WITHIN_MS = 120_000;
const LOG_LINES_MAX = 10_000;
const SAID_BYTES_MAX = 16_384;
const NOT_FOUND = 404;
const CONFLICT = 409;
const NOT_MODIFIED = 304;

export function openEngine(address: EngineAddress): Engine {
  let opened: Promise<Docker> | undefined;
  // It takes long to load, and most commands have no use for it.
  const connect = (): Promise<Docker> => {
    opened ??= import("dockerode").then(({ default: Client }) => new Client(address));
    return opened;
  };
  const ask = async <T>(question: (docker: Docker) => Promise<T>): Promise<T> => {
    try {
      const docker = await connect();
      const signal = new AbortController().signal;
      const asked = await withDeadline({ timeoutMs: ANSWER_WITHIN_MS, signal }, () =>
        question(docker),
      );
      if (asked.kind === "done") return asked.value;
      throw new Refusal("workspace-unavailable", "Docker Engine took too long to answer");
    } catch (error) {
      throw asRefusal(error, address);
    }
  };
  return {
    facts: () =>
      ask(async (docker) => {
        const info: { ServerVersion: string; NCPU: number; MemTotal: number } = await docker.info();
        return { version: info.ServerVersion, cpus: info.NCPU, memoryBytes: info.MemTotal };
      }),
    ...containerLife(ask),
    ...containerContent(ask),
    ...images(ask),
  };
}

type Ask = <T>(question: (docker: Docker) => Promise<T>) => Promise<T>;

function containerLife(
  ask: Ask,
): Pick<
  Engine,
  | "createContainer"
  | "startContainer"
  | "stopContainer"
  | "killContainer"
  | "inspectContainer"
  | "removeContainer"
  | "listContainers"
> {
  return {
    createContainer: (options) => ask(async (docker) => (await docker.createContainer(options)).id),
    startContainer: (container) =>
      ask((docker) => tolerating([NOT_MODIFIED], docker.getContainer(container).start())),
    stopContainer: (container) =>
      ask((docker) => tolerating([NOT_MODIFIED], docker.getContainer(container).stop({ t: 2 }))),
    killContainer: (container) =>
      ask((docker) => tolerating([NOT_FOUND, CONFLICT], docker.getContainer(container).kill())),
    inspectContainer: async (container) => {
      try {
        const { Id: id, State: state } = await ask((docker) =>
          docker.getContainer(container).inspect(),
        );
        const { Running: running, OOMKilled: outOfMemory } = state;
        return { id, running, outOfMemory, exitCode: state.ExitCode, error: state.Error };
      } catch (error) {
        if (error instanceof Refusal && error.failure.code === "workspace-missing") return null;
        throw error;
      }
    },
    removeContainer: (container) =>
      ask((docker) =>
        tolerating(
          [NOT_FOUND, CONFLICT],
          docker.getContainer(container).remove({ force: true, v: true }),
        ),
      ),
    listContainers: (labels) =>
      ask(async (docker) => {
        const label = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
        const found = await docker.listContainers({ all: true, filters: { label } });
        return found.map(({ Labels, State }) => ({ labels: Labels, running: State === "running" }));
      }),
  };
}

function containerContent(
  ask: Ask,
): Pick<Engine, "putArchive" | "execute" | "commitContainer" | "readLogs"> {
  return {
    putArchive: (container, archive) =>
      ask(async (docker) => {
        await docker.getContainer(container).putArchive(archive, { path: "/" });
      }),
    execute: (container, command) =>
      ask(async (docker) => {
        const created = await docker.getContainer(container).exec({
          Cmd: [...command],
          User: "0:0",
          WorkingDir: "/",
          AttachStdin: true,
          AttachStdout: true,
          AttachStderr: true,
          Tty: false,
        });
        const stream = await created.start({ hijack: true, stdin: true, Tty: false });
        // A hijacked connection is the socket itself, whatever the types say.
        return stream as unknown as Socket;
      }),
    commitContainer: (container, image, labels) =>
      ask(async (docker) => {
        const [repo, tag] = image.split(":");
        const changes = Object.entries(labels)
          .map(([name, value]) => `LABEL ${JSON.stringify(name)}=${JSON.stringify(value)}`)
          .join("\n");
        await docker.getContainer(container).commit({ repo, tag, changes, pause: true });
      }),
    readLogs: (container) =>
      ask(async (docker) => {
        const options = { stdout: true, stderr: true, follow: false, tail: LOG_LINES_MAX } as const;
        const raw = await docker.getContainer(container).logs(options);
        let text = "";
        engineReader((_stream, piece) => (text += piece.toString()))(raw);
        return text;
      }),
  };
}

function images(
  ask: Ask,
): Pick<Engine, "hasImage" | "importImage" | "listImages" | "removeImage" | "tagImage"> {
  return {
    hasImage: (image) =>
      ask(async (docker) => {
        const found = await tolerating([NOT_FOUND], docker.getImage(image).inspect());
        return found !== undefined;
      }),
    importImage: (archive, image) =>
      ask(async (docker) => {
        const [repo, tag] = image.split(":");
        const progress = await docker.importImage(archive, { repo, tag });
        let said = "";
        for await (const chunk of progress) said = (said + String(chunk)).slice(-SAID_BYTES_MAX);
        // It answers 200 before it has begun, and then says what went wrong.
        const trouble = /"error":"([^"]*)"/.exec(said)?.[1];
        if (trouble !== undefined)
          throw new Refusal("workspace-failed", `Docker Engine: ${trouble}`);
      }),
    listImages: (labels) =>
      ask(async (docker) => {
        const label = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
        const found = await docker.listImages({ filters: { label } });
        return found.map(({ Labels }) => Labels ?? {});
      }),
    removeImage: (image) =>
      ask(async (docker) => {
        await tolerating([NOT_FOUND], docker.getImage(image).remove({ force: false }));
      }),
    tagImage: (image, repo, tag) =>
      ask(async (docker) => {
        await docker.getImage(image).tag({ repo, tag });
      }),
  };
}

async function tolerating<T>(codes: readonly number[], act: Promise<T>): Promise<T | undefined> {
  try {
    return await act;
  } catch (error) {
    if (codes.includes(statusOf(error))) return undefined;
    throw error;
  }
}

function statusOf(error: unknown): number {
  const status = (error as { readonly statusCode?: unknown } | null)?.statusCode;
  return typeof status === "number" ? status : 0;
}

function asRefusal(error: unknown, address: EngineAddress): unknown {
  if (error instanceof Refusal || !(error instanceof Error)) return error;
  const status = statusOf(error);
  if (status !== 0) {
    const said = messageOf(error);
    const code = codeOf(status, said);
    return new Refusal(code, `Docker Engine: ${said}`, { cause: error, ...HINTS[code] });
  }
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  const place = "socketPath" in address ? address.socketPath : `${address.host}:${address.port}`;
  const hint =
    code === "EACCES"
      ? "you need the right to use that socket: join the group `docker`, or ask for it"
      : "start it (`systemctl start docker`, or `dockerd` as root), or set DOCKER_HOST";
  return new Refusal("workspace-unavailable", `no Docker Engine answers at ${place} (${code})`, {
    hint,
    cause: error,
  });
}

const HINTS: Partial<Record<FailureCode, { readonly hint: string }>> = {
  "image-missing": { hint: "build one with `mycelium image build`, or name another" },
  "workspace-exists": { hint: "remove it first, or choose another id" },
  "disk-full": { hint: "free some space where Docker Engine keeps its data, then try again" },
};

function codeOf(status: number, said: string): FailureCode {
  if (/no space left on device|disk quota exceeded/i.test(said)) return "disk-full";
  if (status === CONFLICT && /already in use/.test(said)) return "workspace-exists";
  if (status === CONFLICT && /is not running/.test(said)) return "workspace-stopped";
  if (status !== NOT_FOUND) return "workspace-failed";
  return /No such image/i.test(said) ? "image-missing" : "workspace-missing";
}

function messageOf(error: Error): string {
  const { json } = error as { readonly json?: { readonly message?: unknown } };
  return typeof json?.message === "string" ? json.message : error.message;
}
