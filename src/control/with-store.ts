import { existsSync } from "node:fs";
import { join } from "node:path";
import { makeRedactor } from "../lib/redact.ts";
import { openStore, type Store } from "../store/store.ts";
import type { OperationContext } from "./operation.ts";

/** Opens the store, made where it is missing, for as long as the work takes. */
export async function withStore<T>(
  { environment, clock }: Pick<OperationContext, "environment" | "clock">,
  secrets: readonly string[],
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const redact = makeRedactor(secrets);
  const store = await openStore({ home: environment.home, clock, redact });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** For those that only look: where there is no store none is made, and `absent` answers. */
export async function withStoreIfAny<T>(
  context: Pick<OperationContext, "environment" | "clock">,
  absent: () => T,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  if (!existsSync(join(context.environment.home, "mycelium.db"))) return absent();
  return withStore(context, [], work);
}
