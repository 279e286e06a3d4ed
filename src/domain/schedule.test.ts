import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { conflicts, type LockSet } from "./locks.ts";
import {
  byUrgency,
  chainWeights,
  decideStarts,
  PASSED_OVER_MAX,
  planBatches,
  topologicalOrder,
  type Schedulable,
} from "./schedule.ts";

const NAMES = ["repo", "api", "api/users", "api/users/db", "docs", "web", "web/css"];

const locks: fc.Arbitrary<LockSet> = fc.record({
  reads: fc.subarray(NAMES, { maxLength: 3 }),
  writes: fc.subarray(NAMES, { maxLength: 2 }),
});

/** Plans without cycles: a task depends only on tasks with a smaller number. */
const plans: fc.Arbitrary<readonly Schedulable[]> = fc
  .array(fc.record({ locks, minutes: fc.integer({ min: 1, max: 9 }), needs: fc.array(fc.nat()) }), {
    minLength: 1,
    maxLength: 14,
  })
  .map((drafts) =>
    drafts.map(({ needs, ...draft }, index) => ({
      ...draft,
      id: String(index),
      dependencies:
        index === 0 ? [] : [...new Set(needs.slice(0, 2).map((need) => String(need % index)))],
    })),
  );

interface Life {
  readonly task: Schedulable;
  readonly start: number;
  readonly end: number;
}

/** The executor's rule on a clock of its own: start what fits, wait for the next end, repeat. */
function simulate(tasks: readonly Schedulable[], width: number): readonly Life[] {
  const urgency = byUrgency(chainWeights(tasks));
  const passedOver = new Map<string, number>();
  const lives: Life[] = [];
  let now = 0;
  for (let guard = 0; guard <= tasks.length; guard += 1) {
    const running = lives.filter(({ end }) => end > now);
    const done = new Set(lives.filter(({ end }) => end <= now).map(({ task }) => task.id));
    const begun = new Set(lives.map(({ task }) => task.id));
    const ready = tasks
      .filter(({ id, dependencies }) => !begun.has(id) && dependencies.every((on) => done.has(on)))
      .toSorted(urgency);
    const decision = decideStarts({
      ready,
      held: running.map(({ task }) => task.locks),
      freeSlots: width - running.length,
      passedOver,
    });
    for (const { id } of decision.passed) passedOver.set(id, (passedOver.get(id) ?? 0) + 1);
    for (const task of decision.start) lives.push({ task, start: now, end: now + task.minutes });
    const ends = lives.map(({ end }) => end).filter((end) => end > now);
    if (ends.length === 0) break;
    now = Math.min(...ends);
  }
  return lives;
}

describe("locks", () => {
  it.each<[LockSet, LockSet, boolean]>([
    [{ reads: [], writes: ["api"] }, { reads: [], writes: ["api"] }, true],
    [{ reads: ["api"], writes: [] }, { reads: [], writes: ["api"] }, true],
    [{ reads: ["api"], writes: [] }, { reads: ["api"], writes: [] }, false],
    [{ reads: [], writes: ["repo"] }, { reads: ["docs"], writes: [] }, true],
    [{ reads: ["repo"], writes: [] }, { reads: [], writes: ["docs"] }, true],
    [{ reads: [], writes: ["api"] }, { reads: [], writes: ["api/users"] }, true],
    [{ reads: [], writes: ["api"] }, { reads: [], writes: ["apis"] }, false],
    [{ reads: [], writes: [] }, { reads: [], writes: ["repo"] }, false],
  ])("%j and %j conflict: %s", (left, right, expected) => {
    expect(conflicts(left, right)).toBe(expected);
    expect(conflicts(right, left)).toBe(expected);
  });
});

describe("the scheduler", () => {
  it("never lets two conflicting tasks overlap, in ten thousand random plans", () => {
    fc.assert(
      fc.property(plans, fc.integer({ min: 1, max: 5 }), (tasks, width) => {
        const lives = simulate(tasks, width);
        expect(lives).toHaveLength(tasks.length);
        for (const one of lives) {
          const others = lives.filter(({ start, end }) => start < one.end && one.start < end);
          for (const other of others) {
            if (other !== one) expect(conflicts(one.task.locks, other.task.locks)).toBe(false);
          }
        }
      }),
      { numRuns: 10_000 },
    );
  });

  it("never runs more tasks than it has slots, nor one before its dependencies", () => {
    fc.assert(
      fc.property(plans, fc.integer({ min: 1, max: 5 }), (tasks, width) => {
        const lives = simulate(tasks, width);
        const ends = new Map(lives.map(({ task, end }) => [task.id, end]));
        for (const { task, start } of lives) {
          const atOnce = lives.filter((life) => life.start <= start && start < life.end);
          expect(atOnce.length).toBeLessThanOrEqual(width);
          for (const on of task.dependencies) expect(ends.get(on)).toBeLessThanOrEqual(start);
        }
      }),
    );
  });

  it("starts the heaviest chain first", () => {
    const free = { locks: { reads: [], writes: [] } };
    const tasks: Schedulable[] = [
      { id: "1", dependencies: [], minutes: 2, ...free },
      { id: "2", dependencies: [], minutes: 1, ...free },
      { id: "3", dependencies: ["2"], minutes: 5, ...free },
    ];
    expect(simulate(tasks, 1).map(({ task }) => task.id)).toEqual(["2", "3", "1"]);
  });

  it("does not let readers starve a writer", () => {
    const reader = (id: string): Schedulable => ({
      id,
      dependencies: [],
      minutes: 1,
      locks: { reads: ["api"], writes: [] },
    });
    const writer: Schedulable = {
      ...reader("writer"),
      locks: { reads: [], writes: ["api"] },
    };
    const held = [reader("0").locks];
    const passedOver = new Map<string, number>();
    let overtakers = 0;
    for (let round = 1; round <= 100; round += 1) {
      const ready = [writer, reader(String(round))];
      const decision = decideStarts({ ready, held, freeSlots: 1, passedOver });
      for (const { id } of decision.passed) passedOver.set(id, (passedOver.get(id) ?? 0) + 1);
      overtakers += decision.start.length;
    }
    expect(overtakers).toBe(PASSED_OVER_MAX);
  });

  it("fills a slot past a blocked task with one that is in nobody's way", () => {
    const task = (id: string, name: string): Schedulable => ({
      id,
      dependencies: [],
      minutes: 1,
      locks: { reads: [], writes: [name] },
    });
    const decision = decideStarts({
      ready: [task("1", "api"), task("2", "docs")],
      held: [{ reads: [], writes: ["api"] }],
      freeSlots: 1,
      passedOver: new Map([["1", PASSED_OVER_MAX]]),
    });
    expect(decision.start.map(({ id }) => id)).toEqual(["2"]);
    expect(decision.passed).toEqual([]);
  });
});

describe("the batches of a dry run", () => {
  it("hold every task once, no two in conflict, none before its dependencies", () => {
    fc.assert(
      fc.property(plans, fc.integer({ min: 1, max: 5 }), (tasks, width) => {
        const batches = planBatches(tasks, width);
        const seen = new Set<string>();
        for (const batch of batches) {
          expect(batch.length).toBeLessThanOrEqual(width);
          for (const task of batch) {
            for (const on of task.dependencies) expect(seen).toContain(on);
            for (const other of batch) {
              if (other !== task) expect(conflicts(task.locks, other.locks)).toBe(false);
            }
          }
          for (const { id } of batch) seen.add(id);
        }
        expect(batches.flat()).toHaveLength(tasks.length);
      }),
    );
  });

  it("serialise two writers of the whole repository", () => {
    const writer = (id: string): Schedulable => ({
      id,
      dependencies: [],
      minutes: 1,
      locks: { reads: [], writes: ["repo"] },
    });
    const batches = planBatches([writer("1"), writer("2")], 4);
    expect(batches.map((batch) => batch.map(({ id }) => id))).toEqual([["1"], ["2"]]);
  });
});

describe("the order of dependencies", () => {
  it("refuses a cycle rather than running half of it", () => {
    const task = (id: string, on: string): Schedulable => ({
      id,
      dependencies: [on],
      minutes: 1,
      locks: { reads: [], writes: [] },
    });
    expect(() => topologicalOrder([task("a", "b"), task("b", "a")])).toThrow("cycle");
  });
});
