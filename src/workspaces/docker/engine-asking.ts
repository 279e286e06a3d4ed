import type Docker from "dockerode";
import { Refusal, type Failure, type FailureCode } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import { withDeadline } from "../../lib/deadline.ts";

/** Where the engine listens: a socket's path or an address. */
export type EngineAddress =
  | { readonly socketPath: string }
  | { readonly host: string; readonly port: number };

/** How long Docker Engine is waited for. */
export interface EngineLimits {
  /** For an answer to what only looks. */
  readonly lookMs: number;
  /** For an answer to what changes something. */
  readonly changeMs: number;
  /** For an engine that cut a connection to be back: it may be restarting. */
  readonly backMs: number;
}

export const ENGINE_LIMITS: EngineLimits = { lookMs: 30_000, changeMs: 120_000, backMs: 15_000 };

const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 1_000;

/** A question, and the signal that is aborted when nobody waits for its answer any more. */
export type Question<T> = (docker: Docker, abortSignal: AbortSignal) => Promise<T>;

/**
 * Asks Docker Engine. Every trouble is a `Refusal`. Where the connection was cut or the time was up
 * after the question was sent, nobody knows whether it was done: see `isLost`.
 */
export interface Asking {
  /** What only looks, and so is asked again where its answer was lost. */
  look<T>(question: Question<T>): Promise<T>;
  /** What may be done twice, and so is asked again where its answer was lost. */
  repeat<T>(question: Question<T>): Promise<T>;
  /** What must not be done twice. */
  once<T>(question: Question<T>): Promise<T>;
  /** After a lost answer: waits until the engine answers again. Throws what it says at last. */
  whenBack(): Promise<void>;
}

export function openAsking(addressOf: () => EngineAddress, limits: EngineLimits): Asking {
  let opened: Promise<Docker> | undefined;
  // It takes long to load, and most commands have no use for it.
  const connect = (address: EngineAddress): Promise<Docker> => {
    opened ??= import("dockerode").then(({ default: Client }) => new Client(address));
    return opened;
  };

  async function ask<T>(question: Question<T>, timeoutMs: number): Promise<T> {
    const address = addressOf();
    try {
      const docker = await connect(address);
      const signal = new AbortController().signal;
      const asked = await withDeadline({ timeoutMs, signal }, (over) => question(docker, over));
      if (asked.kind === "done") return asked.value;
    } catch (error) {
      throw asRefusal(error, address);
    }
    throw new Refusal(
      "workspace-unavailable",
      `Docker Engine at ${placeOf(address)} did not answer within ${timeoutMs / 1000} s`,
      { hint: "look at its log, and restart it if it hangs", details: { reason: TIMED_OUT } },
    );
  }

  async function repeat<T>(question: Question<T>, timeoutMs: number): Promise<T> {
    try {
      return await ask(question, timeoutMs);
    } catch (error) {
      if (!isCut(error)) throw error;
      return whileAway(error, () => ask(question, timeoutMs));
    }
  }

  /** Tries again and again until the time is up; an engine that says no has answered. */
  async function whileAway<T>(first: unknown, act: () => Promise<T>): Promise<T> {
    const untilMs = systemClock.monotonic() + limits.backMs;
    let trouble = first;
    for (let pauseMs = PAUSE_MS_MIN; systemClock.monotonic() < untilMs; pauseMs *= 2) {
      await systemClock.sleep(Math.min(pauseMs, PAUSE_MS_MAX));
      try {
        return await act();
      } catch (error) {
        if (!isUnavailable(error) || reasonOf(error) === TIMED_OUT) throw error;
        trouble = error;
      }
    }
    throw trouble;
  }

  return {
    look: (question) => repeat(question, limits.lookMs),
    repeat: (question) => repeat(question, limits.changeMs),
    once: (question) => ask(question, limits.changeMs),
    whenBack: async () => {
      await whileAway(null, () => ask(askFacts, limits.lookMs));
    },
  };
}

export interface RawFacts {
  readonly ServerVersion: string;
  readonly NCPU: number;
  readonly MemTotal: number;
}

/** What the engine says of itself. Its client takes a signal here too, whatever the types say. */
export const askFacts: Question<RawFacts> = (docker, abortSignal) => {
  const ask = docker.info.bind(docker) as (options: object) => Promise<RawFacts>;
  return ask({ abortSignal });
};

const CUT = "connection-cut";
const TIMED_OUT = "timed-out";

/** Whether something was asked of the engine and nobody knows what became of it. */
export function isLost(error: unknown): boolean {
  return error instanceof Refusal && wasLost(error.failure);
}

/** Whether it was lost by a connection that ended, not by one that took too long. */
export function isCut(error: unknown): boolean {
  return reasonOf(error) === CUT;
}

/** `isLost`, of a failure. */
export function wasLost({ details }: Failure): boolean {
  return details["reason"] === CUT || details["reason"] === TIMED_OUT;
}

function isUnavailable(error: unknown): boolean {
  return error instanceof Refusal && error.failure.code === "workspace-unavailable";
}

function reasonOf(error: unknown): unknown {
  return error instanceof Refusal ? error.failure.details["reason"] : undefined;
}

const NOT_FOUND = 404;
const CONFLICT = 409;

export async function tolerating<T>(
  codes: readonly number[],
  act: Promise<T>,
): Promise<T | undefined> {
  try {
    return await act;
  } catch (error) {
    if (codes.includes(statusOf(error))) return undefined;
    throw error;
  }
}

function statusOf(error: unknown): number {
  const status = (error as { readonly statusCode?: unknown } | null)?.statusCode;
  return typeof status === "number" ? status : 0;
}

function placeOf(address: EngineAddress): string {
  return "socketPath" in address ? address.socketPath : `${address.host}:${address.port}`;
}

/** Codes of connections that were there, and ended before the answer came. */
const CUTS: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"]);

function asRefusal(error: unknown, address: EngineAddress): unknown {
  if (error instanceof Refusal || !(error instanceof Error)) return error;
  const status = statusOf(error);
  if (status !== 0) {
    const said = messageOf(error);
    const code = codeOf(status, said);
    return new Refusal(code, `Docker Engine: ${said}`, { cause: error, ...HINTS[code] });
  }
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  const place = placeOf(address);
  if (CUTS.has(code)) {
    const message = `Docker Engine at ${place} cut the connection before it answered (${code})`;
    const hint = "it may be restarting: start it if it is down, and try again";
    const details = { reason: CUT };
    return new Refusal("workspace-unavailable", message, { hint, details, cause: error });
  }
  const hint =
    code === "EACCES"
      ? "you need the right to use that socket: join the group `docker`, or ask for it"
      : "start it (`systemctl start docker`, or `dockerd` as root), or set DOCKER_HOST";
  return new Refusal("workspace-unavailable", `no Docker Engine answers at ${place} (${code})`, {
    hint,
    cause: error,
  });
}

const HINTS: Partial<Record<FailureCode, { readonly hint: string }>> = {
  "image-missing": { hint: "build one with `mycelium image build`, or name another" },
  "workspace-exists": { hint: "remove it first, or choose another id" },
  "disk-full": { hint: "free some space where Docker Engine keeps its data, then try again" },
};

function codeOf(status: number, said: string): FailureCode {
  if (/no space left on device|disk quota exceeded/i.test(said)) return "disk-full";
  if (status === CONFLICT && /already in use/.test(said)) return "workspace-exists";
  if (status === CONFLICT && /is not running/.test(said)) return "workspace-stopped";
  if (status !== NOT_FOUND) return "workspace-failed";
  return /No such image/i.test(said) ? "image-missing" : "workspace-missing";
}

function messageOf(error: Error): string {
  const { json } = error as { readonly json?: { readonly message?: unknown } };
  return typeof json?.message === "string" ? json.message : error.message;
}
