import { connect } from "node:net";
import { joinSockets, keepPort } from "../ports/keep-port.ts";

/**
 * The keeper of a sandbox's port: it listens where Mycelium is and connects in the network that it
 * was started in, the sandbox's. It ends with the sandbox.
 */
keepPort((caller, { guestPort }) => {
  joinSockets(caller, connect({ host: "127.0.0.1", port: guestPort, allowHalfOpen: true }));
});
