export type Timed<T> =
  | { readonly kind: "done"; readonly value: T }
  | { readonly kind: "timed-out" }
  | { readonly kind: "aborted" };

/**
 * Runs `work` until it is done, `timeoutMs` have passed or `signal` is aborted, whichever is first.
 * The work's own signal is aborted with it; work that ignores that is left behind, its outcome lost.
 */
export async function withDeadline<T>(
  limits: { readonly timeoutMs: number; readonly signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<Timed<T>> {
  if (limits.signal.aborted) return { kind: "aborted" };
  const inner = new AbortController();
  const stopped = Promise.withResolvers<Timed<T>>();
  const stop = (kind: "timed-out" | "aborted"): void => {
    inner.abort();
    stopped.resolve({ kind });
  };
  const onAbort = (): void => stop("aborted");
  limits.signal.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(() => stop("timed-out"), limits.timeoutMs);
  const done = work(inner.signal).then((value): Timed<T> => ({ kind: "done", value }));
  try {
    return await Promise.race([done, stopped.promise]);
  } finally {
    clearTimeout(timer);
    limits.signal.removeEventListener("abort", onAbort);
    done.catch(() => {});
  }
}
