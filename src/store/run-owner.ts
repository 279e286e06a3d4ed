import { hostname } from "node:os";
import { timestamp } from "../lib/clock.ts";
import { isAlive } from "../lib/process.ts";
import { leaseHolderSchema, type LeaseHolder } from "./leases.ts";
import type { RunRow } from "./runs.ts";
import type { Store } from "./store.ts";

/**
 * The process that conducts a run, or `null` where nobody does: the run has stopped, or its process
 * has died. Of other hosts only the lease's expiry tells.
 */
export async function findRunOwner(
  store: Store,
  run: Pick<RunRow, "id" | "repository">,
): Promise<LeaseHolder | null> {
  const row = await store.tables
    .selectFrom("leases")
    .selectAll()
    .where("name", "=", `repository:${run.repository}`)
    .executeTakeFirst();
  if (row === undefined || row.expires_at <= timestamp(store.clock)) return null;
  const holder = leaseHolderSchema.parse(JSON.parse(row.holder));
  if (holder.purpose !== `run ${run.id}`) return null;
  const isDead = holder.host === hostname() && !isAlive(holder.pid, holder.identity);
  return isDead ? null : holder;
}
