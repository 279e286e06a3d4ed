import { Refusal } from "../domain/failure.ts";
import { conflicts, type LockSet } from "../domain/locks.ts";
import { decideStarts } from "../domain/schedule.ts";
import { moveTaskIn } from "../store/tasks.ts";
import { makeBaseJudge } from "./base-judge.ts";
import type { BoardTask } from "./board.ts";
import { landBatch } from "./land.ts";
import type { RunContext } from "./run-context.ts";
import { workOnTask } from "./work-on-task.ts";

const SECOND_MS = 1000;

/** Landings in a row that others may outrun before a person should have a look. */
const OUTRUN_MAX = 20;

/**
 * Works a run's tasks until none can go on: starts whatever fits the moment a slot is free, lands
 * what is validated, one batch at a time. All decisions are made in `tick`; whatever happens only
 * wakes it.
 */
export async function execute(context: RunContext, firstTip: string): Promise<void> {
  const executor = new Executor(context, firstTip);
  await executor.run();
}

class Executor {
  readonly #context: RunContext;
  readonly #judgeOnBase;
  readonly #running = new Map<string, LockSet>();
  readonly #passedOver = new Map<string, number>();
  #tip: string;
  #landing = false;
  #outrunTimes = 0;
  /** When the oldest validated task began to wait for its batch to fill. */
  #waitingSinceMs: number | null = null;
  #alarmSet = false;
  readonly #over = new AbortController();
  #wake: () => void = () => undefined;
  #bug: { readonly error: unknown } | null = null;

  constructor(context: RunContext, firstTip: string) {
    this.#context = context;
    this.#judgeOnBase = makeBaseJudge(context);
    this.#tip = firstTip;
  }

  async run(): Promise<void> {
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await this.#tick().catch((error: unknown) => this.#stopFor(error));
      if (this.#running.size === 0 && !this.#landing && this.#isDone()) break;
      await woken;
    }
    this.#over.abort();
    if (this.#bug !== null) throw this.#bug.error;
  }

  #isDone(): boolean {
    const { board, stop } = this.#context;
    if (stop.signal.aborted || this.#bug !== null) return true;
    return board.validated().length === 0 && board.ready().length === 0;
  }

  async #tick(): Promise<void> {
    if (this.#context.stop.signal.aborted || this.#bug !== null) return;
    await this.#skipDoomed();
    this.#startTasks();
    this.#startLanding();
  }

  /** A task whose dependency has failed will not come to its turn in this run. */
  async #skipDoomed(): Promise<void> {
    const { board, store, runId } = this.#context;
    for (let doomed = board.doomed(); doomed.length > 0; doomed = board.doomed()) {
      for (const { task, dependency } of doomed) {
        const reason = "dependency-failed";
        const message = `it needs ${dependency}, which did not land`;
        const row = await store.record(async (change) => {
          const event = { task_id: task.row.task_id, payload: { reason, message } };
          await change.event(runId, { type: "task.skipped", ...event });
          const key = { runId, taskId: task.row.task_id };
          return moveTaskIn(change, key, "skip", { reason, message, ended_at: change.now });
        });
        board.put(row);
      }
    }
  }

  #startTasks(): void {
    const { board, width } = this.#context;
    const freeSlots = width - this.#running.size;
    if (freeSlots <= 0) return;
    const ready = board.ready().filter(({ row }) => !this.#running.has(row.task_id));
    const { start, passed } = decideStarts({
      ready: ready.map(({ schedulable }) => schedulable),
      held: [...this.#running.values(), ...board.validated().map(({ manifest }) => manifest.locks)],
      freeSlots,
      passedOver: this.#passedOver,
    });
    for (const { id } of passed) this.#passedOver.set(id, (this.#passedOver.get(id) ?? 0) + 1);
    for (const { id, locks } of start) {
      this.#running.set(id, locks);
      this.#passedOver.delete(id);
      this.#watch(workOnTask(this.#context, this.#judgeOnBase, id, this.#tip), () =>
        this.#running.delete(id),
      );
    }
  }

  #startLanding(): void {
    const validated = this.#context.board.validated();
    if (this.#landing || validated.length === 0) return;
    const { clock } = this.#context.store;
    this.#waitingSinceMs ??= clock.monotonic();
    const lingerMs = this.#context.config.landing.linger_seconds * SECOND_MS;
    const leftMs = this.#waitingSinceMs + lingerMs - clock.monotonic();
    if (leftMs > 0 && this.#mayLinger(validated)) {
      this.#wakeLater(leftMs);
      return;
    }
    this.#waitingSinceMs = null;
    this.#landing = true;
    const batch = validated.slice(0, this.#context.config.landing.batch_max);
    this.#watch(this.#land(batch), () => {
      this.#landing = false;
    });
  }

  #wakeLater(delayMs: number): void {
    if (this.#alarmSet) return;
    this.#alarmSet = true;
    const { store, stop } = this.#context;
    void store.clock.sleep(delayMs, AbortSignal.any([stop.signal, this.#over.signal])).then(() => {
      this.#alarmSet = false;
      this.#wake();
    });
  }

  /** A batch may fill up as long as others still work and nobody waits for what is in it. */
  #mayLinger(validated: readonly BoardTask[]): boolean {
    const { board, config } = this.#context;
    if (this.#running.size === 0 || validated.length >= config.landing.batch_max) return false;
    const ids = new Set(validated.map(({ row }) => row.task_id));
    const waits = (task: BoardTask): boolean =>
      task.row.state === "pending" &&
      (task.manifest.dependencies.some((id) => ids.has(id)) ||
        validated.some(({ manifest }) => conflicts(manifest.locks, task.manifest.locks)));
    return !board.all().some(waits);
  }

  async #land(batch: readonly BoardTask[]): Promise<void> {
    const { config, repository, stop } = this.#context;
    const end = await landBatch(this.#context, this.#judgeOnBase, batch);
    const tip = await repository.branchTip(config.main_branch);
    if (tip !== null) this.#tip = tip.commit;
    this.#outrunTimes = end === "outrun" ? this.#outrunTimes + 1 : 0;
    if (this.#outrunTimes < OUTRUN_MAX) return;
    stop.request({
      reason: "checkout-blocked",
      message: `${config.main_branch} moved ${OUTRUN_MAX} times while a candidate was proved`,
      hint: "wait until others are done with the branch, then `mycelium resume`",
    });
  }

  #watch(work: Promise<void>, then: () => void): void {
    void work
      .catch((error: unknown) => this.#stopFor(error))
      .finally(() => {
        then();
        this.#wake();
      });
  }

  /** A bug in one part ends the run after the other parts have ended; it is never swallowed. */
  #stopFor(error: unknown): void {
    const hint = "`mycelium resume` goes on from what was recorded";
    if (error instanceof Refusal) {
      const { code } = error.failure;
      const reason = code === "disk-full" || code === "ref-locked" ? code : "internal";
      this.#context.stop.request({
        reason,
        message: error.message,
        hint: error.failure.hint ?? hint,
      });
      return;
    }
    this.#bug ??= { error };
    const message = error instanceof Error ? error.message : String(error);
    this.#context.stop.request({ reason: "internal", message, hint });
  }
}
