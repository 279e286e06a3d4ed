import { createServer, type Server } from "node:net";
import type { Result } from "../../domain/failure.ts";
import { endIdentified, isAlive, startWithServer } from "../../lib/process.ts";
import type { PortForward } from "../lasting-workspace.ts";
import { isListening } from "../loopback-port.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { networkOf } from "./enter.ts";
import { HOST_PATH } from "./host-path.ts";
import { writeRunning, type OpenPort, type RunningRecord } from "./record.ts";
import { findRunning, type SandboxPlace } from "./runtime.ts";
import { markerVariable } from "./start.ts";

/** Beside this file, as a source or built. */
const FORWARDER = import.meta.filename.replace(/ports(\.[jt]s)$/, "port-forwarder$1");
const START_TIMEOUT_MS = 20_000;

export interface PortRequest {
  readonly guestPort: number;
  readonly hostPort?: number | undefined;
}

/** Those that lead into a sandbox now. */
export function openPorts({ ports }: RunningRecord): readonly OpenPort[] {
  return ports.filter(
    ({ forwarder }) => forwarder === null || isAlive(forwarder.pid, forwarder.identity),
  );
}

/**
 * Opens a port of a running sandbox on loopback, for as long as it runs. Where it shares the
 * machine's network, the port itself is there already. The sandbox's lock is held.
 */
export async function openPort(
  place: SandboxPlace,
  running: RunningRecord,
  request: PortRequest,
): Promise<Result<PortForward>> {
  const { guestPort, hostPort } = request;
  const open = openPorts(running).find((port) => port.guestPort === guestPort);
  if (open !== undefined && (hostPort === undefined || hostPort === open.hostPort)) {
    return { ok: true, value: { guestPort, hostPort: open.hostPort } };
  }
  if (open !== undefined) {
    return workspaceFailure(`port ${guestPort} is open already, at ${open.hostPort}`, {
      hint: "close it first",
    });
  }
  const isItself = !running.isOffline && (hostPort ?? guestPort) === guestPort;
  const opened = isItself ? await itself(guestPort) : await forward(place, running, request);
  if (!opened.ok) return opened;
  const ports = [...openPorts(running), opened.value];
  writeRunning(place.layout, { ...running, ports });
  return { ok: true, value: { guestPort, hostPort: opened.value.hostPort } };
}

/** Refuses where it was not opened. The sandbox's lock is held. */
export async function closePort(place: SandboxPlace, guestPort: number): Promise<Result<void>> {
  const running = findRunning(place.layout);
  const open = running?.ports.find((port) => port.guestPort === guestPort);
  if (running === null || open === undefined) {
    return workspaceFailure(`port ${guestPort} was not opened`);
  }
  if (open.forwarder !== null) await endIdentified(open.forwarder.pid, open.forwarder.identity);
  const ports = running.ports.filter((port) => port !== open);
  writeRunning(place.layout, { ...running, ports });
  return { ok: true, value: undefined };
}

async function itself(port: number): Promise<Result<OpenPort>> {
  if (await isListening(port)) {
    return { ok: true, value: { guestPort: port, hostPort: port, forwarder: null } };
  }
  return workspaceFailure(`nothing listens at port ${port} of 127.0.0.1`, {
    hint: "start what listens there first, with `workspace job start`",
  });
}

async function forward(
  { layout }: SandboxPlace,
  running: RunningRecord,
  { guestPort, hostPort = 0 }: PortRequest,
): Promise<Result<OpenPort>> {
  const server = createServer();
  const listening = await listen(server, hostPort);
  if (!listening.ok) return listening;
  const into = networkOf(running);
  const [program, ...args] = [...into, process.execPath, FORWARDER, String(guestPort)];
  const started = await startWithServer({
    command: [program ?? process.execPath, ...args],
    cwd: "/",
    env: { PATH: HOST_PATH, ...markerVariable(layout.folder) },
    server,
    timeoutMs: START_TIMEOUT_MS,
  });
  if (!started.ok)
    return workspaceFailure(`port ${guestPort} cannot be opened: ${started.message}`);
  const { pid, identity } = started;
  const forwarder = { pid, identity };
  return { ok: true, value: { guestPort, hostPort: listening.value, forwarder } };
}

function listen(server: Server, port: number): Promise<Result<number>> {
  return new Promise((resolve) => {
    server.once("error", (error) =>
      resolve(
        workspaceFailure(`port ${port} cannot be opened: ${error.message}`, { cause: error }),
      ),
    );
    server.listen({ host: "127.0.0.1", port }, () => {
      const address = server.address();
      const isBound = address !== null && typeof address !== "string";
      resolve(isBound ? { ok: true, value: address.port } : workspaceFailure("no port was given"));
    });
  });
}
