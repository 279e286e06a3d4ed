import { z } from "zod";
import { RUN_STATES } from "../../domain/run.ts";
import { followEvents } from "../../logs/follow.ts";
import { readEvents } from "../../store/events.ts";
import { requireRun } from "../../store/find-run.ts";
import type { Store } from "../../store/store.ts";
import { defineOperation } from "../operation.ts";
import { refuseAbsent, runAtHand } from "../run-at-hand.ts";
import { withStoreIfAny } from "../with-store.ts";

const outputSchema = z.strictObject({
  run_id: z.string(),
  status: z.enum(RUN_STATES),
  /** Why it ended: the run did, its process is gone, or it was told to stop. */
  ended: z.enum(["run", "process", "signal"]),
  last_seq: z.number().int(),
});

export type FollowOutput = z.infer<typeof outputSchema>;

export const follow = defineOperation({
  name: "logs.follow",
  summary: "Show events as they happen, until the run ends",
  input: z.strictObject({
    /** The newest run of this repository where it is left out. */
    run_id: z.string().optional(),
    /** The event after which to begin; by default the last few that there are. */
    after: z.int().nonnegative().optional(),
    last: z.int().min(0).max(100_000).default(20),
  }),
  output: outputSchema,
  run: (context, input) =>
    withStoreIfAny(context, refuseAbsent(input.run_id), async (store) => {
      const { id: runId } = await requireRun(store, runAtHand(context, input.run_id));
      const after = input.after ?? (await seqBeforeLast(store, runId, input.last));
      const events = followEvents(store, { runId, after, signal: context.signal });
      let next = await events.next();
      for (; next.done !== true; next = await events.next()) context.onEvent(next.value);
      const { status, ended, lastSeq } = next.value;
      return { run_id: runId, status, ended, last_seq: lastSeq };
    }),
});

async function seqBeforeLast(store: Store, runId: string, last: number): Promise<number> {
  const events = await readEvents(store.tables, { runId, last: Math.max(last, 1) });
  const [first] = events;
  if (first === undefined) return 0;
  return last === 0 ? first.seq : first.seq - 1;
}
