import { keepPort } from "../ports/keep-port.ts";
import type { EngineAddress } from "./engine-asking.ts";
import { openEngine } from "./engine.ts";
import { openGuestPool } from "./guest-pool.ts";
import { notRunning } from "./not-running.ts";
import { relay } from "./relay.ts";

/**
 * The keeper of a container's port: it listens on loopback, and each of its callers gets a command in
 * the container that connects there, also without a network. It starts no container.
 */
const [engineAddress = "{}", container = ""] = process.argv.slice(4);
const engine = openEngine(JSON.parse(engineAddress) as EngineAddress);
const pool = openGuestPool(engine, container, () => notRunning(container));

keepPort((caller, { guestPort }) => void relay(pool, guestPort, caller));
