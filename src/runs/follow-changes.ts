import type { Store } from "../store/store.ts";

export interface ChangeFollower {
  readonly store: Store;
  readonly runId: string;
  /** Changes within this time are worked on together. */
  readonly gatherMs: number;
  /** How long to wait after work that failed. */
  readonly retryMs: number;
  /** Told once when work fails, and again only after it has succeeded meanwhile. */
  readonly onTrouble?: ((error: unknown) => void) | undefined;
  /** Brings something up to date with the database. Never runs twice at once. */
  readonly work: () => Promise<void>;
}

/** Something that is kept up to date until it is closed. */
export interface Following {
  /** Works one last time and stops. Must come before the store is closed. */
  close(): Promise<void>;
}

/** Does the work once now, again after changes of the run, and once more at the end. */
export async function followChanges(follower: ChangeFollower): Promise<Following> {
  const { store, runId } = follower;
  const closing = new AbortController();
  const attempt = tellingOnce(follower);
  let wake = Promise.withResolvers<void>();
  const unsubscribe = store.subscribe((events) => {
    if (events.some((event) => event.run_id === runId)) wake.resolve();
  });
  let isCurrent = await attempt();
  const follow = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      if (isCurrent) await wake.promise;
      const pauseMs = isCurrent ? follower.gatherMs : follower.retryMs;
      await store.clock.sleep(pauseMs, closing.signal);
      if (closing.signal.aborted) return;
      wake = Promise.withResolvers();
      isCurrent = await attempt();
    }
  };
  const following = follow();
  return {
    close: async () => {
      unsubscribe();
      closing.abort();
      wake.resolve();
      await following;
      await attempt();
    },
  };
}

function tellingOnce({ work, onTrouble }: ChangeFollower): () => Promise<boolean> {
  let wasTold = false;
  return async () => {
    try {
      await work();
      wasTold = false;
      return true;
    } catch (error) {
      if (!wasTold) onTrouble?.(error);
      wasTold = true;
      return false;
    }
  };
}
