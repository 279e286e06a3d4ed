import { connect } from "node:net";

/** Says all to a port of loopback and answers all that comes back; nothing where nobody listens. */
export function askPort(port: number, said: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let heard = "";
  const socket = connect(port, "127.0.0.1", () => socket.end(said));
  socket.on("data", (chunk) => (heard += chunk.toString()));
  socket.on("error", () => resolve(""));
  socket.on("close", () => resolve(heard));
  return promise;
}
