import { rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { z } from "zod";
import type { Result } from "../../domain/failure.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { endIdentified, isAlive, startWithServer } from "../../lib/process.ts";
import { readJson, writeJson } from "../json-file.ts";
import type { PortForward } from "../lasting-workspace.ts";
import { workspaceFailure } from "../workspace-failure.ts";

/** Ports of one workspace that may be open at once. */
const PORTS_MAX = 32;
const START_TIMEOUT_MS = 20_000;

const openPortSchema = z.object({
  guestPort: z.int(),
  /** The real one, on this machine's loopback. */
  hostPort: z.int(),
  /** The process that forwards it, named for good; `null` where the port is the machine's own. */
  keeper: z.object({ pid: z.int().positive(), identity: z.string() }).nullable(),
});

const listSchema = z.object({ version: z.literal(1), ports: z.array(openPortSchema) });

/** A port that leads into a workspace. */
export type OpenPort = z.infer<typeof openPortSchema>;

export interface PortRequest {
  readonly guestPort: number;
  /** Any that is free where it is left out. */
  readonly hostPort?: number | undefined;
}

/** How a kind of workspace keeps a port open: by a program of Node that calls `keepPort`. */
export interface PortKeeper {
  /** What Node is started by, such as `nsenter` with its arguments. */
  readonly within?: readonly string[];
  /** The program's file, as a source or built. */
  readonly program: string;
  /** The program's own arguments. */
  readonly args?: readonly string[];
  /** The whole environment of it: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
}

/** Those that lead into a workspace now; `folder` is the workspace's own on this machine. */
export function openPortsOf(folder: string): readonly OpenPort[] {
  return readList(folder).filter(
    ({ keeper }) => keeper === null || isAlive(keeper.pid, keeper.identity),
  );
}

/** The same as anyone may know them. */
export function forwardsOf(folder: string): readonly PortForward[] {
  return openPortsOf(folder).map(({ guestPort, hostPort }) => ({ guestPort, hostPort }));
}

/**
 * Opens a port of a workspace on loopback and writes it down in the workspace's folder, where every
 * process finds it: it stays open when this process ends. Answers the one that there is, where that
 * is what is asked for. The workspace's lock is held.
 */
export async function openPortOf(
  folder: string,
  request: PortRequest,
  open: (request: PortRequest) => Promise<Result<OpenPort>>,
): Promise<Result<PortForward>> {
  const { guestPort, hostPort } = request;
  const ports = openPortsOf(folder);
  const known = ports.find((port) => port.guestPort === guestPort);
  if (known !== undefined && (hostPort === undefined || hostPort === known.hostPort)) {
    return { ok: true, value: { guestPort, hostPort: known.hostPort } };
  }
  if (known !== undefined) {
    return workspaceFailure(`port ${guestPort} is open already, at ${known.hostPort}`, {
      hint: "close it first",
    });
  }
  if (ports.length >= PORTS_MAX) {
    return workspaceFailure(`${PORTS_MAX} ports are open already`, { hint: "close one first" });
  }
  const opened = await open(request);
  if (!opened.ok) return opened;
  crashPoint("port.kept");
  writeList(folder, [...ports, opened.value]);
  crashPoint("port.opened");
  return { ok: true, value: { guestPort, hostPort: opened.value.hostPort } };
}

/** Refuses where it was not opened. Resolves once nobody listens. The workspace's lock is held. */
export async function closePortOf(folder: string, guestPort: number): Promise<Result<void>> {
  const ports = readList(folder);
  const found = ports.find((port) => port.guestPort === guestPort);
  if (found === undefined) return workspaceFailure(`port ${guestPort} was not opened`);
  await endKeeper(found);
  writeList(
    folder,
    ports.filter((port) => port !== found),
  );
  return { ok: true, value: undefined };
}

/** Resolves once nobody listens: with the end of what runs in the workspace, or of all of it. */
export async function closePortsOf(folder: string): Promise<void> {
  const ports = readList(folder);
  if (ports.length === 0) return;
  await Promise.all(ports.map(endKeeper));
  // Without a word written: that works on a full disk as well.
  rmSync(listOf(folder), { force: true });
}

/** Listens on loopback and starts who goes on listening when this process ends. */
export async function keepPortOpen(
  folder: string,
  keeper: PortKeeper,
  { guestPort, hostPort = 0 }: PortRequest,
): Promise<Result<OpenPort>> {
  const server = createServer();
  const listening = await listen(server, hostPort);
  if (!listening.ok) return listening;
  const { within = [], program, args = [], env } = keeper;
  const own = [program, listOf(folder), String(guestPort), ...args];
  const [first = process.execPath, ...rest] = [...within, process.execPath, ...own];
  const started = await startWithServer({
    command: [first, ...rest],
    cwd: "/",
    env,
    server,
    timeoutMs: START_TIMEOUT_MS,
  });
  if (!started.ok) {
    return workspaceFailure(`port ${guestPort} cannot be opened: ${started.message}`);
  }
  const { pid, identity } = started;
  return {
    ok: true,
    value: { guestPort, hostPort: listening.value, keeper: { pid, identity } },
  };
}

async function endKeeper({ keeper }: OpenPort): Promise<void> {
  if (keeper !== null) await endIdentified(keeper.pid, keeper.identity);
}

function listOf(folder: string): string {
  return join(folder, "ports.json");
}

function readList(folder: string): readonly OpenPort[] {
  return readJson(listOf(folder), listSchema)?.ports ?? [];
}

function writeList(folder: string, ports: readonly OpenPort[]): void {
  writeJson(listOf(folder), { version: 1, ports });
}

function listen(server: Server, port: number): Promise<Result<number>> {
  return new Promise((resolve) => {
    server.once("error", (cause) =>
      resolve(workspaceFailure(`port ${port} cannot be opened: ${cause.message}`, { cause })),
    );
    server.listen({ host: "127.0.0.1", port }, () => {
      const address = server.address();
      const isBound = address !== null && typeof address !== "string";
      resolve(isBound ? { ok: true, value: address.port } : workspaceFailure("no port was given"));
    });
  });
}
