import { Worker } from "node:worker_threads";
import type { Failure, Result } from "../domain/failure.ts";
import { VAULT_LIMITS } from "./limits.ts";

export interface PatternWork {
  readonly source: string;
  readonly flags: string;
}

export interface PatternAnswer {
  /** From 0: those that match. */
  readonly lines: readonly number[];
  /** With everything replaced, where that was asked. */
  readonly text: string | null;
  readonly count: number;
}

/** Applies one regular expression to many texts, within a time for all of them together. */
export interface PatternRunner extends AsyncDisposable {
  run(text: string, replacement: string | null): Promise<Result<PatternAnswer>>;
}

const FILE = import.meta.filename.replace(/patterns(\.[jt]s)$/, "pattern-worker$1");
const HEAP_MB = 512;

/**
 * A thread of its own for the pattern, because one that backtracks without an end can only be
 * stopped from outside. Refuses what is no regular expression.
 */
export function startPattern(source: string, flags: string): Result<PatternRunner> {
  const problem = problemOf(source, flags);
  if (problem !== null) return refuse(`is no regular expression: ${problem}`, null);
  const workerData: PatternWork = { source, flags };
  const worker = new Worker(FILE, {
    workerData,
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  worker.unref();
  let failed: Result<never> | null = null;
  let settle: ((answer: Result<PatternAnswer>) => void) | null = null;
  const answer = (given: Result<PatternAnswer>): void => {
    settle?.(given);
    settle = null;
  };
  const fail = (problem: string, hint: string | null): void => {
    failed ??= refuse(problem, hint);
    answer(failed);
  };
  worker.on("message", (value: PatternAnswer) => answer({ ok: true, value }));
  worker.on("error", (error) => fail(`could not be applied: ${error.message}`, null));
  worker.on("exit", () => fail("could not be applied", null));
  const timer = setTimeout(() => {
    const hint = "leave out nested repeats such as (a+)+, or search for plain text";
    fail(`takes more than ${VAULT_LIMITS.patternMs} ms`, hint);
    void worker.terminate();
  }, VAULT_LIMITS.patternMs);
  return {
    ok: true,
    value: {
      run: (text, replacement) =>
        new Promise((resolve) => {
          if (failed !== null) resolve(failed);
          settle = resolve;
          // eslint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
          worker.postMessage({ text, replacement });
        }),
      [Symbol.asyncDispose]: async () => {
        clearTimeout(timer);
        await worker.terminate();
      },
    },
  };
}

function problemOf(source: string, flags: string): string | null {
  if (source.length > VAULT_LIMITS.queryCharacters) {
    return `it has more than ${VAULT_LIMITS.queryCharacters} characters`;
  }
  try {
    RegExp(source, flags).test("");
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function refuse(problem: string, hint: string | null): Result<never> {
  const failure: Failure = {
    code: "note-invalid",
    message: `the pattern ${problem}`,
    details: {},
    hint,
  };
  return { ok: false, failure };
}
