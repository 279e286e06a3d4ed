import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import type { Change, Store } from "./store.ts";

/** Who holds a lease, in enough detail to see from the same host whether they are still alive. */
export const leaseHolderSchema = z.strictObject({
  host: z.string(),
  pid: z.number().int().positive(),
  /** Tells this process from a later one with the same number. */
  identity: z.string(),
  purpose: z.string(),
});

export type LeaseHolder = z.infer<typeof leaseHolderSchema>;

/** Proof of holding a lease: good as long as its token is the one in the store. */
export interface Lease {
  readonly name: string;
  readonly token: number;
  readonly ttlMs: number;
}

export type LeaseAnswer =
  | { readonly kind: "held"; readonly lease: Lease }
  | { readonly kind: "taken"; readonly holder: LeaseHolder; readonly expiresAt: string };

export interface LeaseRequest {
  readonly name: string;
  readonly holder: LeaseHolder;
  readonly ttlMs: number;
  /** Whether a holder on this host is known to be dead: its lease then needs no expiry. */
  readonly isDead: (holder: LeaseHolder) => boolean;
}

/** Takes a lease that nobody holds: never taken, given back, expired, or its holder died here. */
export async function takeLease(store: Store, request: LeaseRequest): Promise<LeaseAnswer> {
  return store.record(async ({ tables, now }) => {
    const row = await tables
      .selectFrom("leases")
      .selectAll()
      .where("name", "=", request.name)
      .executeTakeFirst();
    if (row !== undefined && row.expires_at > now) {
      const holder = leaseHolderSchema.parse(JSON.parse(row.holder));
      if (!request.isDead(holder)) return { kind: "taken", holder, expiresAt: row.expires_at };
    }
    const token = (row?.token ?? 0) + 1;
    const values = {
      token,
      holder: JSON.stringify(request.holder),
      expires_at: expiry(store.clock, request.ttlMs),
    };
    await tables
      .insertInto("leases")
      .values({ name: request.name, ...values })
      .onConflict((conflict) => conflict.column("name").doUpdateSet(values))
      .execute();
    return { kind: "held", lease: { name: request.name, token, ttlMs: request.ttlMs } };
  });
}

/** False once somebody else has it. */
export async function extendLease(store: Store, lease: Lease): Promise<boolean> {
  return store.record((change) => extendIn(change, store.clock, lease));
}

async function extendIn(change: Change, clock: Clock, lease: Lease): Promise<boolean> {
  const result = await change.tables
    .updateTable("leases")
    .set({ expires_at: expiry(clock, lease.ttlMs) })
    .where("name", "=", lease.name)
    .where("token", "=", lease.token)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** Inside a change that only the holder may make. */
export async function holdsLease(change: Change, lease: Lease): Promise<boolean> {
  const row = await change.tables
    .selectFrom("leases")
    .select("token")
    .where("name", "=", lease.name)
    .executeTakeFirst();
  return row?.token === lease.token;
}

/** Gives it back; the row stays, so that tokens go on growing. */
export async function releaseLease(store: Store, lease: Lease): Promise<void> {
  await store.record(async ({ tables, now }) => {
    await tables
      .updateTable("leases")
      .set({ expires_at: now })
      .where("name", "=", lease.name)
      .where("token", "=", lease.token)
      .execute();
  });
}

function expiry(clock: Clock, ttlMs: number): string {
  return new Date(clock.now() + ttlMs).toISOString();
}
