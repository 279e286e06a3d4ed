import { connect, createServer, type Server } from "node:net";

/**
 * The program behind an open port: it listens where Mycelium is, by a server that it was handed, and
 * connects in the network that it was started in, the sandbox's. It ends with the sandbox.
 */
const guestPort = Number(process.argv[2]);
const CONNECTIONS_MAX = 512;

process.once("message", (_message, handed) => {
  const server = createServer({ allowHalfOpen: true }, (outer) => {
    const inner = connect({ host: "127.0.0.1", port: guestPort, allowHalfOpen: true });
    outer.pipe(inner);
    inner.pipe(outer);
    for (const [socket, other] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      socket.on("error", () => other.destroy());
      socket.on("close", () => other.destroy());
    }
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.listen(handed as Server, () => process.send?.("ready"));
});
