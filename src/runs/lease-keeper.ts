import { hostname } from "node:os";
import { Refusal } from "../domain/failure.ts";
import { isAlive, processIdentity } from "../lib/process.ts";
import {
  extendLease,
  releaseLease,
  takeLease,
  type Lease,
  type LeaseHolder,
} from "../store/leases.ts";
import type { Store } from "../store/store.ts";

/** How long a repository stays taken when its owner's host is gone without a word. */
const LEASE_TTL_MS = 30_000;
const HEARTBEAT_MS = 5_000;

/** Does work while this process alone has the repository; refuses where another one has it. */
export async function withRepository<T>(
  store: Store,
  gitDir: string,
  purpose: string,
  work: (lease: Lease) => Promise<T>,
): Promise<T> {
  const lease = await takeRepository(store, gitDir, purpose);
  try {
    return await work(lease);
  } finally {
    await releaseLease(store, lease);
  }
}

async function takeRepository(store: Store, gitDir: string, purpose: string): Promise<Lease> {
  const holder = self(purpose);
  const answer = await takeLease(store, {
    name: `repository:${gitDir}`,
    holder,
    ttlMs: LEASE_TTL_MS,
    isDead: (other) => other.host === holder.host && !isAlive(other.pid, other.identity),
  });
  if (answer.kind === "held") return answer.lease;
  const { pid, host, purpose: what } = answer.holder;
  throw new Refusal(
    "repository-busy",
    `${what} works on this repository (process ${pid} on ${host})`,
    {
      hint: "wait for it, or stop it with Ctrl-C; `mycelium status` shows how far it is",
      details: { pid, host, expires_at: answer.expiresAt },
    },
  );
}

function self(purpose: string): LeaseHolder {
  const identity = processIdentity(process.pid) ?? "unknown";
  return { host: hostname(), pid: process.pid, identity, purpose };
}

export interface LeaseKeeper {
  /** Stops the heartbeat. */
  close(): Promise<void>;
}

/** Extends the lease until it is closed; tells when somebody else has it. */
export function keepLease(store: Store, lease: Lease, onLost: () => void): LeaseKeeper {
  const closing = new AbortController();
  let confirmedMs = store.clock.monotonic();
  const stillHeld = async (): Promise<boolean> => {
    const held = await extendLease(store, lease).catch(() => null);
    if (held === true) confirmedMs = store.clock.monotonic();
    // A store that does not answer is waited for, but no longer than the lease may last.
    return held ?? store.clock.monotonic() - confirmedMs < LEASE_TTL_MS - HEARTBEAT_MS;
  };
  const beating = (async () => {
    for (;;) {
      await store.clock.sleep(HEARTBEAT_MS, closing.signal);
      if (closing.signal.aborted) return;
      if (!(await stillHeld())) {
        onLost();
        return;
      }
    }
  })();
  return {
    close: async () => {
      closing.abort();
      await beating;
    },
  };
}
