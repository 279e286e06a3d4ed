import type { Socket } from "node:net";
import type { ContainerCreateOptions } from "dockerode";
import { Refusal } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import {
  askFacts,
  ENGINE_LIMITS,
  openAsking,
  tolerating,
  type Asking,
  type EngineAddress,
  type EngineLimits,
} from "./engine-asking.ts";
import { engineReader } from "./frames.ts";

export interface ContainerState {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
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
 * What may be done twice is asked again where the answer was lost; of the rest, `isLost` tells it.
 */
export interface Engine {
  facts(): Promise<EngineFacts>;
  /** After a lost answer: waits until it answers again, and throws where it does not. */
  whenBack(): Promise<void>;
  /** Done at most once: its answer may be lost. */
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
  /**
   * Starts a command as the container's root; both its outputs come in the engine's blocks. Its
   * answer may be lost: then its input has ended.
   */
  execute(container: string, command: readonly string[]): Promise<Socket>;
  hasImage(image: string): Promise<boolean>;
  /** Makes an image of one layer from a tar archive of its root file system. */
  importImage(archive: NodeJS.ReadableStream, image: string): Promise<void>;
  /**
   * Freezes a container's files as an image; whatever runs in it waits meanwhile. Done at most once:
   * its answer may be lost.
   */
  commitContainer(
    container: string,
    image: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<void>;
  /** Of all images that carry these and have a name. */
  listImages(
    labels: Readonly<Record<string, string>>,
  ): Promise<readonly Readonly<Record<string, string>>[]>;
  removeImage(image: string): Promise<void>;
  /** Those that carry these and whose name another has by now. */
  removeNameless(labels: Readonly<Record<string, string>>): Promise<void>;
  /** What its first process wrote, the end of it. */
  readLogs(container: string): Promise<string>;
  tagImage(image: string, repository: string, tag: string): Promise<void>;
}

const LOG_LINES_MAX = 10_000;
const SAID_BYTES_MAX = 16_384;
const REMOVAL_WITHIN_MS = 60_000;
const REMOVAL_PAUSE_MS = 50;
const LISTINGS_MAX = 100;
/** What it says of an image that is being taken away. */
const VANISHING = /unrecognized image ID/;
const NOT_FOUND = 404;
const CONFLICT = 409;
const NOT_MODIFIED = 304;

/** An address that cannot be read is told by whatever is asked first. */
export function openEngine(
  address: EngineAddress | (() => EngineAddress),
  limits: Partial<EngineLimits> = {},
): Engine {
  const addressOf = typeof address === "function" ? address : () => address;
  const asking = openAsking(addressOf, { ...ENGINE_LIMITS, ...limits });
  return {
    facts: async () => {
      const {
        ServerVersion: version,
        NCPU: cpus,
        MemTotal: memoryBytes,
      } = await asking.look(askFacts);
      return { version, cpus, memoryBytes };
    },
    whenBack: () => asking.whenBack(),
    ...containerLife(asking),
    ...containerContent(asking),
    ...images(asking),
  };
}

function containerLife(
  asking: Asking,
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
    createContainer: (options) =>
      asking.once(
        async (docker, abortSignal) =>
          (await docker.createContainer({ ...options, abortSignal })).id,
      ),
    startContainer: (container) =>
      asking.repeat((docker, abortSignal) =>
        tolerating([NOT_MODIFIED], docker.getContainer(container).start({ abortSignal })),
      ),
    stopContainer: (container) =>
      asking.repeat((docker, abortSignal) =>
        tolerating([NOT_MODIFIED], docker.getContainer(container).stop({ t: 2, abortSignal })),
      ),
    killContainer: (container) =>
      asking.repeat((docker, abortSignal) =>
        tolerating([NOT_FOUND, CONFLICT], docker.getContainer(container).kill({ abortSignal })),
      ),
    inspectContainer: (container) => inspectContainer(asking, container),
    removeContainer: (container) => removeContainer(asking, container),
    listContainers: (labels) =>
      asking.look(async (docker, abortSignal) => {
        const filters = { label: labelFilter(labels) };
        const found = await docker.listContainers({ all: true, filters, abortSignal });
        return found.map(({ Labels, State }) => ({ labels: Labels, running: State === "running" }));
      }),
  };
}

async function inspectContainer(asking: Asking, container: string): Promise<ContainerState | null> {
  try {
    const {
      Id: id,
      State: state,
      Config: config,
    } = await asking.look((docker, abortSignal) =>
      docker.getContainer(container).inspect({ abortSignal }),
    );
    const { Running: running, OOMKilled: outOfMemory, ExitCode: exitCode } = state;
    const labels = config.Labels;
    return { id, labels, running, outOfMemory, exitCode, error: state.Error };
  } catch (error) {
    if (error instanceof Refusal && error.failure.code === "workspace-missing") return null;
    throw error;
  }
}

/** One whose removal is under way already is waited for: it is to be gone afterwards. */
async function removeContainer(asking: Asking, container: string): Promise<void> {
  const untilMs = systemClock.monotonic() + REMOVAL_WITHIN_MS;
  for (;;) {
    await asking.repeat((docker, abortSignal) => {
      const removed = docker.getContainer(container).remove({ force: true, v: true, abortSignal });
      return tolerating([NOT_FOUND, CONFLICT], removed);
    });
    if ((await inspectContainer(asking, container)) === null) return;
    if (systemClock.monotonic() >= untilMs) {
      const message = `the container ${container} is still being removed by Docker Engine`;
      throw new Refusal("workspace-failed", message, { hint: "remove the workspace again later" });
    }
    await systemClock.sleep(REMOVAL_PAUSE_MS);
  }
}

function containerContent(
  asking: Asking,
): Pick<Engine, "putArchive" | "execute" | "commitContainer" | "readLogs"> {
  return {
    putArchive: (container, archive) =>
      asking.repeat(async (docker, abortSignal) => {
        await docker.getContainer(container).putArchive(archive, { path: "/", abortSignal });
      }),
    execute: (container, command) =>
      asking.once(async (docker, abortSignal) => {
        const created = await docker.getContainer(container).exec({
          Cmd: [...command],
          User: "0:0",
          WorkingDir: "/",
          AttachStdin: true,
          AttachStdout: true,
          AttachStderr: true,
          Tty: false,
          abortSignal,
        });
        const how = { hijack: true, stdin: true, Tty: false, abortSignal };
        const stream = await created.start(how);
        // A hijacked connection is the socket itself, whatever the types say.
        return stream as unknown as Socket;
      }),
    commitContainer: (container, image, labels) =>
      asking.once(async (docker, abortSignal) => {
        const [repo, tag] = image.split(":");
        const changes = Object.entries(labels)
          .map(([name, value]) => `LABEL ${JSON.stringify(name)}=${JSON.stringify(value)}`)
          .join("\n");
        const named = { repo, tag, changes, pause: true, abortSignal };
        await docker.getContainer(container).commit(named);
      }),
    readLogs: (container) =>
      asking.look(async (docker, abortSignal) => {
        const tail = LOG_LINES_MAX;
        const options = { stdout: true, stderr: true, follow: false, tail, abortSignal } as const;
        const raw = await docker.getContainer(container).logs(options);
        let text = "";
        engineReader((_stream, piece) => (text += piece.toString()))(raw);
        return text;
      }),
  };
}

function images(
  asking: Asking,
): Pick<
  Engine,
  "hasImage" | "importImage" | "listImages" | "removeImage" | "removeNameless" | "tagImage"
> {
  return {
    hasImage: (image) =>
      asking.look(async (docker, abortSignal) => {
        // Its client takes a signal, whatever the types say.
        const how = { abortSignal } as object;
        const found = await tolerating([NOT_FOUND], docker.getImage(image).inspect(how));
        return found !== undefined;
      }),
    importImage: (archive, image) =>
      asking.once(async (docker, abortSignal) => {
        const [repo, tag] = image.split(":");
        const progress = await docker.importImage(archive, { repo, tag, abortSignal });
        let said = "";
        for await (const chunk of progress) said = (said + String(chunk)).slice(-SAID_BYTES_MAX);
        // It answers 200 before it has begun, and then says what went wrong.
        const trouble = /"error":"([^"]*)"/.exec(said)?.[1];
        if (trouble !== undefined)
          throw new Refusal("workspace-failed", `Docker Engine: ${trouble}`);
      }),
    listImages: (labels) =>
      asking.look(async (docker, abortSignal) => {
        const filters = { label: labelFilter(labels), dangling: ["false"] };
        const found = await listing(() => docker.listImages({ filters, abortSignal }));
        return found.map(({ Labels }) => Labels ?? {});
      }),
    removeImage: (image) =>
      asking.repeat(async (docker, abortSignal) => {
        await removeImage(docker.getImage(image).remove({ force: false, abortSignal }));
      }),
    removeNameless: (labels) =>
      asking.repeat(async (docker, abortSignal) => {
        const filters = { label: labelFilter(labels), dangling: ["true"] };
        const found = await listing(() => docker.listImages({ filters, abortSignal }));
        for (const { Id: id } of found) {
          const removed = docker.getImage(id).remove({ force: false, abortSignal });
          // One that something stands on is needed still.
          await tolerating([CONFLICT], removeImage(removed));
        }
      }),
    tagImage: (image, repo, tag) =>
      asking.repeat(async (docker, abortSignal) => {
        await docker.getImage(image).tag({ repo, tag, abortSignal });
      }),
  };
}

/** One that is not there, or that is being taken away by an earlier question, is fine. */
async function removeImage(removed: Promise<unknown>): Promise<void> {
  try {
    await tolerating([NOT_FOUND], removed);
  } catch (error) {
    if (!VANISHING.test(String(error))) throw error;
  }
}

/** The engine fails to list its images while one of them is being taken away. */
async function listing<T>(list: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await list();
    } catch (error) {
      if (tries >= LISTINGS_MAX || !VANISHING.test(String(error))) throw error;
      await systemClock.sleep(REMOVAL_PAUSE_MS);
    }
  }
}

function labelFilter(labels: Readonly<Record<string, string>>): string[] {
  return Object.entries(labels).map(([name, value]) => `${name}=${value}`);
}
