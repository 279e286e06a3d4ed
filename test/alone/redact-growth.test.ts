import { expect, test } from "vitest";
import { makeRedactor } from "../../src/lib/redact.ts";

const letters = "Zz0Yy1Xx2Ww3Vv4Uu5Tt6Ss7Rr8Qq9Pp0Oo1Nn2";

const hostile = {
  "key prefixes": "sk-",
  "dashes": "-",
  "private key heads": "-----BEGIN PRIVATE KEY-----",
  "private key heads and bodies": "-----BEGIN PRIVATE KEY-----AAAA.",
  "private key ends": "-----END ",
  "bearers": "Bearer  ",
  "spaces after bearer": " ",
  "capital letters": "A",
  "token prefixes": "ghp_xoxb-npm_AKIA",
  "nearly the secret": "correct-horse-battery-stapl_",
} as const;

/** Noise only ever adds: the quickest of a few tries is the nearest to what it takes. */
const TRIES = 3;
const ROUNDS_MAX = 10;

/** Sixteen times the text: a quadratic search would take 256 times as long, and a linear one 16. */
const RATIO_MAX = 80;
/** Less than this cannot be measured well. */
const SMALL_MS_MIN = 0.5;

test.each(Object.entries(hostile))("time grows only with the length: %s", (_name, unit) => {
  const redact = makeRedactor(["correct-horse-battery-staple", letters]);
  const [small, large] = [fill(unit, 50_000), fill(unit, 800_000)];
  let least = Number.POSITIVE_INFINITY;
  for (let round = 1; round <= ROUNDS_MAX && least >= RATIO_MAX; round += 1) {
    const ratio = fastestMs(redact, large) / Math.max(fastestMs(redact, small), SMALL_MS_MIN);
    least = Math.min(least, ratio);
  }
  expect(least).toBeLessThan(RATIO_MAX);
});

function fill(unit: string, length: number): string {
  return `Bearer${unit.repeat(Math.ceil(length / unit.length))}`;
}

function fastestMs(redact: (text: string) => string, text: string): number {
  const times = Array.from({ length: TRIES }, () => {
    const start = performance.now();
    redact(text);
    return performance.now() - start;
  });
  return Math.min(...times);
}
