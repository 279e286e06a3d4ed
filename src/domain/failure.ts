/**
 * Everything that can be refused, with the exit code each means to a shell.
 *
 * Three kinds of error, never mixed: a refusal (expected; this file), bad input (zod, turned into a
 * refusal at the boundary that parsed it), and a bug (any other exception, which ends the process).
 */

/** Exit codes: 1 the run or check failed; 2 usage, configuration or input; 3 waiting for a person. */
const EXIT_CODES = {
  "usage": 2,
  "config-missing": 2,
  "config-invalid": 2,
  "config-exists": 2,
  "repository-missing": 2,
  "repository-busy": 2,
  "branch-missing": 2,
  "branch-dirty": 2,
  "plan-unreadable": 2,
  "plan-invalid": 2,
  "planner-failed": 1,
  "tasks-missing": 2,
  "task-invalid": 2,
  "agent-unknown": 2,
  "workspace-unavailable": 2,
  "workspace-failed": 1,
  "workspace-missing": 2,
  "workspace-exists": 2,
  "workspace-stopped": 2,
  "workspace-unsupported": 2,
  "image-missing": 2,
  "not-owner": 2,
  "already-owned": 2,
  "session-active": 2,
  "quota-exceeded": 2,
  "rate-limited": 2,
  "operation-missing": 2,
  "command-failed": 1,
  "run-missing": 2,
  "run-exists": 2,
  "run-finished": 2,
  "database-newer": 2,
  "database-failed": 1,
  "disk-full": 1,
  "git-failed": 1,
  "ref-locked": 3,
  "checkout-blocked": 3,
  "lease-lost": 1,
  "program-missing": 2,
  "confirmation-needed": 2,
  "note-invalid": 2,
  "note-missing": 2,
  "note-exists": 2,
  "vault-failed": 1,
  "merge-refused": 2,
  "merge-failed": 1,
  "swarm-missing": 2,
  "swarm-refused": 2,
  "team-missing": 2,
  "team-exists": 2,
  "team-refused": 2,
} as const;

export type FailureCode = keyof typeof EXIT_CODES;

/** What happened, where, and what to do next: the `error` object of every `--json` report. */
export interface Failure {
  readonly code: FailureCode;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly hint: string | null;
}

export interface FailureContext {
  readonly hint?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** A failure on its way to the edge that reports it. Throw it where a command cannot go on. */
export class Refusal extends Error {
  readonly failure: Failure;

  constructor(code: FailureCode, message: string, context: FailureContext = {}) {
    super(message, { cause: context.cause });
    this.name = "Refusal";
    this.failure = { code, message, details: context.details ?? {}, hint: context.hint ?? null };
  }
}

export function exitCodeOf(code: FailureCode): number {
  return EXIT_CODES[code];
}

export type Result<T, F = Failure> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: F };

/** Marks code that cannot be reached while the types hold. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
