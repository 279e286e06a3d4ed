import { connect } from "node:net";

const CONNECT_TIMEOUT_MS = 2_000;

/** Whether something on this machine answers at a port of the loopback address. */
export function isListening(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: "127.0.0.1", port, timeout: CONNECT_TIMEOUT_MS });
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
  socket.once("timeout", () => resolve(false));
  return promise.finally(() => socket.destroy());
}
