import type { RecordedEvent } from "../domain/event.ts";
import type { RunState } from "../domain/run.ts";
import { requireRun } from "../store/find-run.ts";
import { findRunOwner } from "../store/run-owner.ts";
import { readEvents } from "../store/events.ts";
import type { Store } from "../store/store.ts";

export interface FollowRequest {
  readonly runId: string;
  /** The sequence number after which to begin. */
  readonly after: number;
  readonly signal: AbortSignal;
}

/** Why it ended: the run did, its process is gone, or the signal was aborted. */
export interface FollowEnd {
  readonly ended: "run" | "process" | "signal";
  readonly status: RunState;
  readonly lastSeq: number;
}

/** How long after an event it is seen at the latest. */
const POLL_MS = 200;

/** Events that are in memory at once. */
const BATCH_EVENTS_MAX = 500;

/** How long a run may be without a process before it is given up: a resume takes over by then. */
const ORPHANED_MS = 2_000;

/** Every event of a run after a given one, each once and in order, until there can be no more. */
export async function* followEvents(
  store: Store,
  request: FollowRequest,
): AsyncGenerator<RecordedEvent, FollowEnd> {
  const { signal } = request;
  let lastSeq = request.after;
  const isOrphaned = makeOrphanWatch(store);
  for (;;) {
    // The state is read first: events of a run that has ended are all there.
    const run = await requireRun(store, request);
    const { id: runId, status } = run;
    const query = { runId, after: lastSeq, limit: BATCH_EVENTS_MAX };
    const events = await readEvents(store.tables, query);
    for (const event of events) {
      if (signal.aborted) return { ended: "signal", status, lastSeq };
      lastSeq = event.seq;
      yield event;
    }
    if (signal.aborted) return { ended: "signal", status, lastSeq };
    if (events.length === BATCH_EVENTS_MAX) continue;
    if (status !== "running") return { ended: "run", status, lastSeq };
    if (await isOrphaned(run)) return { ended: "process", status, lastSeq };
    await store.clock.sleep(POLL_MS, signal);
  }
}

type Run = Parameters<typeof findRunOwner>[1];

function makeOrphanWatch(store: Store): (run: Run) => Promise<boolean> {
  let ownerlessSinceMs: number | null = null;
  return async (run) => {
    if ((await findRunOwner(store, run)) !== null) {
      ownerlessSinceMs = null;
      return false;
    }
    ownerlessSinceMs ??= store.clock.monotonic();
    return store.clock.monotonic() - ownerlessSinceMs >= ORPHANED_MS;
  };
}
