import { parentPort, workerData } from "node:worker_threads";
import type { PatternAnswer, PatternWork } from "./patterns.ts";

/** Answers for each text that it is sent, one after the other. A wild pattern ends with this thread. */
const { source, flags } = workerData as PatternWork;
const pattern = new RegExp(source, flags);

parentPort?.on("message", ({ text, replacement }: { text: string; replacement: string | null }) => {
  const answer = replacement === null ? findLines(text) : replaceAll(text, replacement);
  // eslint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(answer satisfies PatternAnswer);
});

function findLines(text: string): PatternAnswer {
  const lines: number[] = [];
  for (const [number, line] of text.split("\n").entries()) {
    pattern.lastIndex = 0;
    if (pattern.test(line)) lines.push(number);
  }
  return { lines, text: null, count: lines.length };
}

function replaceAll(text: string, replacement: string): PatternAnswer {
  let count = 0;
  for (const _ of text.matchAll(pattern)) count += 1;
  return { lines: [], text: text.replaceAll(pattern, replacement), count };
}
