import { join } from "node:path";
import { z } from "zod";
import { composeProviders } from "../compose.ts";
import type { Environment } from "../config/environment.ts";
import { Refusal, type Result } from "../domain/failure.ts";
import { systemClock } from "../lib/clock.ts";
import { openRoomBook, type RoomBook } from "../sessions/room-book.ts";
import { openSessionBook, type SessionBook } from "../sessions/session-book.ts";
import { openLedger, type KeptEntry, type KeptLedger } from "../workspaces/kept-ledger.ts";
import { findKept } from "../workspaces/kept-workspaces.ts";
import type { KindsThatAnswer } from "../workspaces/kinds-that-answer.ts";
import type {
  LastingProvider,
  LastingWorkspace,
  WorkspaceInfo,
} from "../workspaces/lasting-workspace.ts";
import { WORKSPACE_KINDS } from "../workspaces/workspace.ts";
import { isWorkspaceName, NAME_RULE } from "../workspaces/workspace-name.ts";
import { armCrashPointOf } from "./crash-at.ts";
import type { OperationContext } from "./operation.ts";

const DAY_SECONDS = 86_400;

/** Goldens are named by their inputs. */
const RESERVED = /^golden-/;

/** Of a workspace that there is. */
export const nameSchema = z.string().refine(isWorkspaceName, { error: NAME_RULE });

export const newNameSchema = nameSchema.refine((name) => !RESERVED.test(name), {
  error: "names that begin with golden- are for `workspace prepare`",
});

export const snapshotIdSchema = z
  .string()
  .refine((id) => id.split("@").length === 2 && id.split("@").every(isWorkspaceName), {
    error: "a snapshot is called WORKSPACE@NAME",
  });

export const kindSchema = z.enum(WORKSPACE_KINDS);
export const networkSchema = z.enum(["none", "allow"]);
export const secondsSchema = z
  .number()
  .positive()
  .max(30 * DAY_SECONDS);
export const variablesSchema = z.record(z.string(), z.string());
export const nothingSchema = z.strictObject({ name: z.string() });

export const limitsSchema = z.strictObject({
  cpus: z.number().positive().max(4096).optional(),
  memory_mb: z.int().positive().optional(),
  disk_mb: z.int().positive().optional(),
  pids: z.int().positive().optional(),
});

export function limitsOf(limits: z.output<typeof limitsSchema>) {
  const { cpus, memory_mb: memoryMb, disk_mb: diskMb, pids } = limits;
  return { cpus, memoryMb, diskMb, pids };
}

export interface KeptAtHand {
  readonly ledger: KeptLedger;
  readonly providers: ReadonlyMap<string, LastingProvider>;
  readonly sessions: SessionBook;
  /** Of sessions' quotas, promised to work that makes its workspaces later. */
  readonly rooms: RoomBook;
  /** What commands get: enough to find programs; `HOME` is the workspace's own. */
  readonly env: Readonly<Record<string, string>>;
}

export function openKept({ environment }: Pick<OperationContext, "environment">): KeptAtHand {
  armCrashPointOf(environment);
  return {
    sessions: openSessionBook(join(environment.home, "sessions"), systemClock),
    rooms: openRoomBook(join(environment.home, "rooms")),
    ledger: openLedger(join(environment.home, "kept")),
    providers: providersOf(environment),
    env: envOf(environment),
  };
}

/** One of a kind for all calls of this process that mean the same home: what it has open is shared. */
const opened = new WeakMap<Environment, ReadonlyMap<string, LastingProvider>>();

function providersOf(environment: Environment): ReadonlyMap<string, LastingProvider> {
  const known = opened.get(environment);
  if (known !== undefined) return known;
  const providers = composeProviders(environment);
  opened.set(environment, providers);
  return providers;
}

function envOf({ path, lang, user }: Environment): Readonly<Record<string, string>> {
  return { PATH: path, ...(lang !== null && { LANG: lang }), ...(user !== null && { USER: user }) };
}

export function providerOf({ providers }: KeptAtHand, kind: string): LastingProvider {
  const provider = providers.get(kind);
  if (provider !== undefined) return provider;
  throw new Refusal("workspace-unavailable", `there are no ${kind} workspaces in this version`, {
    hint: `there are ${[...providers.keys()].join(", ")}`,
  });
}

/** Kinds that cannot be asked now; left out where all could be. */
export const unavailableSchema = z
  .array(z.strictObject({ kind: z.string(), message: z.string(), hint: z.string().nullable() }))
  .optional();

/** What a workspace of the book is: `null` where it is only half made. */
export type Looked = WorkspaceInfo | "unavailable" | null;

/** Looks at workspaces of the book one after the other, each as its kind knows it. */
export async function lookAt(
  { providers, env }: KeptAtHand,
  answering: KindsThatAnswer,
  { id, kind }: Pick<KeptEntry, "id" | "kind">,
): Promise<Looked> {
  const looked = await answering.ask(kind, async () => {
    const found = await providers.get(kind)?.find({ id, env });
    return found ? found.info() : null;
  });
  return looked.ok ? looked.value : "unavailable";
}

/** The kind of what stands in the book under a name or a snapshot's id. */
export function kindInBook(kept: KeptAtHand, id: string): string {
  const entry = kept.ledger.find(id);
  if (entry !== null) return entry.kind;
  throw new Refusal("workspace-missing", `there is no ${JSON.stringify(id)}`, {
    hint: "`mycelium workspace list` and `mycelium workspace snapshot list` show what there is",
    details: { id },
  });
}

export async function workspaceAtHand(
  context: Pick<OperationContext, "environment">,
  name: string,
): Promise<
  KeptAtHand & { readonly provider: LastingProvider; readonly workspace: LastingWorkspace }
> {
  const kept = openKept(context);
  const found = unwrap(await findKept(kept.ledger, kept.providers, { id: name, env: kept.env }));
  return { ...kept, ...found };
}

/** Throws what did not work out. */
export function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  const { code, message, details, hint } = result.failure;
  throw new Refusal(code, message, { details, ...(hint !== null && { hint }) });
}
