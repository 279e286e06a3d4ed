import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";

/** Connections at once to one port; more are refused. */
const CONNECTIONS_MAX = 512;
/** How often a keeper looks whether it is still wanted, and how often in a row it must not be. */
const LOOK_PAUSE_MS = 1_000;
const UNWANTED_LOOKS = 3;

/** What a keeper was started for. */
export interface KeptPort {
  /** In the workspace. */
  readonly guestPort: number;
  /** The keeper's own arguments: see `PortKeeper`. */
  readonly args: readonly string[];
}

/**
 * All of a keeper, the process behind one open port: it takes over a server that listens and gives
 * its callers away, as long as the workspace's list of ports names it. So it ends by itself where it
 * was closed, where whoever started it died before it was written down, and where the workspace is
 * gone. A caller that it gives away may have said all, and still listen.
 *
 * The list is read without a schema: a keeper is started for each port, and should be quick.
 */
export function keepPort(onCaller: (caller: Socket, kept: KeptPort) => void): void {
  const [list = "", port = "", ...args] = process.argv.slice(2);
  const kept = { guestPort: Number(port), args };
  process.once("message", (_message, handed) => {
    const server = createServer({ allowHalfOpen: true }, (caller) => {
      caller.on("error", () => caller.destroy());
      onCaller(caller, kept);
    });
    server.maxConnections = CONNECTIONS_MAX;
    server.listen(handed as Server, () => process.send?.("ready"));
    let unwanted = 0;
    setInterval(() => {
      unwanted = isWanted(list) ? 0 : unwanted + 1;
      if (unwanted >= UNWANTED_LOOKS) process.exit(0);
    }, LOOK_PAUSE_MS);
  });
}

/** Joins two connections until both have said all; the end of one by force is the other's. */
export function joinSockets(outer: Socket, inner: Socket): void {
  outer.pipe(inner);
  inner.pipe(outer);
  for (const [socket, other] of [
    [outer, inner],
    [inner, outer],
  ] as const) {
    socket.on("error", () => other.destroy());
    socket.on("close", () => other.destroy());
  }
}

function isWanted(list: string): boolean {
  try {
    const listed = JSON.parse(readFileSync(list, "utf8")) as {
      readonly ports: readonly { readonly keeper: { readonly pid: number } | null }[];
    };
    return listed.ports.some(({ keeper }) => keeper?.pid === process.pid);
  } catch {
    return false;
  }
}
