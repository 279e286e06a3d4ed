import { Refusal, type Result } from "../domain/failure.ts";

/** A kind that cannot be asked now, such as one whose engine is down, and what to do about it. */
export interface UnavailableKind {
  readonly kind: string;
  readonly message: string;
  readonly hint: string | null;
}

export interface KindsThatAnswer {
  /** Asks a kind, unless it was not to be had a moment ago: waiting for it once is enough. */
  ask<T>(kind: string, act: () => Promise<T>): Promise<Result<T, UnavailableKind>>;
  /** Those that were not to be had; `undefined` where all answered. */
  unavailable(): UnavailableKind[] | undefined;
}

/** For what is asked of several kinds: one that is not to be had is told, and holds up no other. */
export function kindsThatAnswer(): KindsThatAnswer {
  const away = new Map<string, UnavailableKind>();
  return {
    ask: async (kind, act) => {
      const known = away.get(kind);
      if (known !== undefined) return { ok: false, failure: known };
      try {
        return { ok: true, value: await act() };
      } catch (error) {
        const isAway = error instanceof Refusal && error.failure.code === "workspace-unavailable";
        if (!isAway) throw error;
        const { message, hint } = error.failure;
        const failure = { kind, message, hint };
        away.set(kind, failure);
        return { ok: false, failure };
      }
    },
    unavailable: () => (away.size === 0 ? undefined : [...away.values()]),
  };
}

/** In one line, with what to do. */
export function unavailableText({ message, hint }: Omit<UnavailableKind, "kind">): string {
  return hint === null ? message : `${message}: ${hint}`;
}
