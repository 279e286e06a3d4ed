import type { Result } from "../../domain/failure.ts";
import type { PortForward } from "../lasting-workspace.ts";
import { isListening } from "../loopback-port.ts";
import {
  keepPortOpen,
  openPortOf,
  type OpenPort,
  type PortKeeper,
  type PortRequest,
} from "../ports/open-ports.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { networkOf } from "./enter.ts";
import { HOST_PATH } from "./host-path.ts";
import type { RunningRecord } from "./record.ts";
import type { SandboxPlace } from "./runtime.ts";
import { markerVariable } from "./start.ts";

/** Beside this file, as a source or built. */
const FORWARDER = import.meta.filename.replace(/ports(\.[jt]s)$/, "port-forwarder$1");

/**
 * Opens a port of a running sandbox on loopback, for as long as it runs. Where it shares the
 * machine's network, the port itself is there already. The sandbox's lock is held.
 */
export function openPort(
  { layout: { folder } }: SandboxPlace,
  running: RunningRecord,
  request: PortRequest,
): Promise<Result<PortForward>> {
  return openPortOf(folder, request, (wanted) => {
    const { guestPort, hostPort } = wanted;
    const isItself = !running.isOffline && (hostPort ?? guestPort) === guestPort;
    return isItself ? itself(guestPort) : keepPortOpen(folder, keeperOf(folder, running), wanted);
  });
}

async function itself(port: number): Promise<Result<OpenPort>> {
  if (await isListening(port)) {
    return { ok: true, value: { guestPort: port, hostPort: port, keeper: null } };
  }
  return workspaceFailure(`nothing listens at port ${port} of 127.0.0.1`, {
    hint: "start what listens there first, with `workspace job start`",
  });
}

/** Carries the sandbox's mark, so that it ends with whatever else is left of it. */
function keeperOf(folder: string, running: RunningRecord): PortKeeper {
  const env = { PATH: HOST_PATH, ...markerVariable(folder) };
  return { within: networkOf(running), program: FORWARDER, env };
}
