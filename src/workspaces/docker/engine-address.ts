import { Refusal } from "../../domain/failure.ts";
import type { EngineAddress } from "./engine-asking.ts";

const DEFAULT_SOCKET = "/var/run/docker.sock";
const DEFAULT_PORT = 2375;

/** Reads `DOCKER_HOST` as the `docker` command does. Refuses what is neither a socket nor TCP. */
export function readEngineAddress(dockerHost: string | undefined): EngineAddress {
  if (dockerHost === undefined || dockerHost === "") return { socketPath: DEFAULT_SOCKET };
  if (dockerHost.startsWith("unix://")) return { socketPath: dockerHost.slice("unix://".length) };
  const url = URL.canParse(dockerHost) ? new URL(dockerHost) : null;
  if (url?.protocol === "tcp:" && url.hostname !== "") {
    return { host: url.hostname, port: url.port === "" ? DEFAULT_PORT : Number(url.port) };
  }
  throw new Refusal("workspace-unavailable", `DOCKER_HOST is ${JSON.stringify(dockerHost)}`, {
    hint: "only unix:///path and tcp://host:port are understood",
  });
}
