import { Refusal } from "../domain/failure.ts";

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * A moment as events write it, from RFC 3339 (`2026-11-20T10:00:00Z`, `2026-11-20`) or from a time
 * ago (`90s`, `10m`, `2h`, `3d`). Refuses anything else.
 */
export function parseMoment(text: string, nowMs: number): string {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const isDate = /^\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}.*)?$/.test(text);
  const ms =
    amount !== undefined && unit !== undefined
      ? nowMs - Number(amount) * (UNITS_MS[unit] ?? 0)
      : isDate
        ? Date.parse(text)
        : Number.NaN;
  if (Number.isNaN(ms) || Math.abs(ms) > TIME_MS_MAX) {
    throw new Refusal("usage", `${JSON.stringify(text)} is no moment`, {
      hint: "write 10m, 2h or 3d for a time ago, or a date such as 2026-11-20T10:00:00Z",
    });
  }
  return new Date(ms).toISOString();
}

/** The last moment that ECMAScript's dates can name. */
const TIME_MS_MAX = 8.64e15;
