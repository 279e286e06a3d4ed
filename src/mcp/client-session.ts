import { join } from "node:path";
import type { OperationContext } from "../control/operation.ts";
import { systemClock } from "../lib/clock.ts";
import { openAdmission, type Admission } from "../sessions/admission.ts";
import { openAuditTrail, type AuditTrail } from "../sessions/audit.ts";
import type { SessionPolicy } from "../sessions/policy.ts";
import { openSessionBook, type SessionRecord } from "../sessions/session-book.ts";

/** One client as the server knows it: who asks, what it may, and where that is written down. */
export interface ClientSession extends AsyncDisposable {
  readonly id: string;
  readonly admission: Admission;
  readonly audit: AuditTrail;
  /** What every operation of it is given. */
  readonly context: OperationContext;
  clientName(): string | null;
  nameClient(name: string): void;
  /** Whether a call of it goes on. */
  isBusy(): boolean;
  /** Keeps the session's end waiting for it. */
  during<T>(work: Promise<T>): Promise<T>;
}

export interface ClientSessionRequest {
  readonly id?: string;
  readonly transport: SessionRecord["transport"];
  readonly policy: SessionPolicy;
  readonly context: Omit<OperationContext, "session">;
  readonly secrets: readonly string[];
}

const HEARTBEATS_A_LEASE = 4;
const SETTLE_MS = 10_000;

/** Opens a session whose lease is renewed by a timer of its own, however long a call takes. */
export function openClientSession(request: ClientSessionRequest): ClientSession {
  const { policy, transport, context, secrets } = request;
  const { home } = context.environment;
  const book = openSessionBook(join(home, "sessions"), systemClock);
  const leaseMs = policy.lease_seconds * 1000;
  const id = request.id === undefined ? {} : { id: request.id };
  const session = book.open({ ...id, transport, leaseMs });
  const timer = setInterval(() => session.heartbeat(), leaseMs / HEARTBEATS_A_LEASE);
  timer.unref();
  const running = new Set<Promise<unknown>>();
  let client: string | null = null;
  return {
    id: session.id,
    admission: openAdmission(policy, systemClock),
    audit: openAuditTrail(join(home, "audit", "sessions.jsonl"), systemClock, secrets),
    context: { ...context, session: { id: session.id, kind: "session" } },
    clientName: () => client,
    nameClient: (name) => {
      if (client === name) return;
      client = name;
      session.nameClient(name);
    },
    isBusy: () => running.size > 0,
    during: async (work) => {
      running.add(work);
      try {
        return await work;
      } finally {
        running.delete(work);
      }
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      const over = new AbortController();
      const settled = Promise.allSettled(running).then(() => over.abort());
      await Promise.race([settled, systemClock.sleep(SETTLE_MS, over.signal)]);
      session.end();
    },
  };
}
