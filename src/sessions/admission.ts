import { Refusal } from "../domain/failure.ts";
import type { Clock } from "../lib/clock.ts";
import type { RateName, SessionPolicy } from "./policy.ts";

/** What one call costs: a fork of five costs five. */
export type Cost = Partial<Readonly<Record<RateName, number>>>;

export interface Admission {
  /** Takes what a call costs, or throws `rate-limited`. The answer gives it back. */
  admit(cost: Cost): () => void;
}

const MINUTE_MS = 60_000;

/** One session's buckets: each fills steadily up to its burst. */
export function openAdmission({ rates }: SessionPolicy, clock: Clock): Admission {
  const names = Object.keys(rates) as readonly RateName[];
  const levels = new Map(names.map((name) => [name, rates[name].burst]));
  let filledAtMs = clock.monotonic();

  const fill = (): void => {
    const nowMs = clock.monotonic();
    for (const name of names) {
      const { burst, per_minute: perMinute } = rates[name];
      const gained = ((nowMs - filledAtMs) * perMinute) / MINUTE_MS;
      levels.set(name, Math.min(burst, (levels.get(name) ?? 0) + gained));
    }
    filledAtMs = nowMs;
  };
  const add = (cost: Cost, sign: 1 | -1): void => {
    for (const name of names) {
      const level = (levels.get(name) ?? 0) + sign * (cost[name] ?? 0);
      levels.set(name, Math.min(rates[name].burst, level));
    }
  };
  return {
    admit: (cost) => {
      fill();
      for (const name of names) refuseIfEmpty(name, cost[name] ?? 0);
      add(cost, -1);
      let isGivenBack = false;
      return () => {
        if (!isGivenBack) add(cost, 1);
        isGivenBack = true;
      };
    },
  };

  function refuseIfEmpty(name: RateName, wanted: number): void {
    const level = levels.get(name) ?? 0;
    const { burst, per_minute: perMinute } = rates[name];
    if (wanted <= level) return;
    const details = { rate: name, wanted, burst, per_minute: perMinute };
    if (wanted > burst) {
      throw new Refusal("rate-limited", `${wanted} at once is over the ${name} burst of ${burst}`, {
        hint: `ask for fewer at once, or raise rates.${name}.burst in sessions.yaml of the home`,
        details,
      });
    }
    const waitSeconds = Math.ceil(((wanted - level) * MINUTE_MS) / perMinute / 1000);
    throw new Refusal("rate-limited", `too many ${name} calls: ${perMinute} a minute are allowed`, {
      hint: `try again in ${waitSeconds} s`,
      details: { ...details, retry_after_seconds: waitSeconds },
    });
  }
}
