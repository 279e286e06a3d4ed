import { Refusal } from "../domain/failure.ts";
import { lockFile } from "../lib/file-lock.ts";
import { readSessionPolicy } from "../sessions/policy.ts";
import { ownerText, type KeptEntry, type KeptOwner } from "../workspaces/kept-ledger.ts";
import type { LastingProvider, LastingWorkspace } from "../workspaces/lasting-workspace.ts";
import { WORKSPACE_KINDS, type WorkspaceKind } from "../workspaces/workspace.ts";
import { openKept, providerOf, workspaceAtHand, type KeptAtHand } from "./kept-at-hand.ts";
import type { OperationContext, Principal } from "./operation.ts";

export interface OwnedWorkspace extends KeptAtHand {
  readonly provider: LastingProvider;
  readonly workspace: LastingWorkspace;
}

/** A workspace that whoever asks may touch. Throws `workspace-missing` or `not-owner`. */
export async function ownedWorkspace(
  context: OperationContext,
  id: string,
): Promise<OwnedWorkspace> {
  refuseForeign(openKept(context), context.session, id);
  return workspaceAtHand(context, id);
}

/** A person may touch everything; a session what is its own. */
export function refuseForeign(kept: KeptAtHand, principal: Principal, id: string): void {
  const entry = kept.ledger.find(id);
  if (entry === null || isOwnedBy(entry.owner, principal)) return;
  throw new Refusal("not-owner", `${id} belongs to ${whose(entry)}, not to this session`, {
    hint: isTakeable(kept, entry)
      ? `its session has ended: take it over with workspace_adopt`
      : "make one of your own, or fork a snapshot of your own",
    details: { workspace_id: id },
  });
}

/** Nothing of another's identity is told: an id would be enough to be taken for it. */
function whose({ owner }: KeptEntry): string {
  if (owner === null || owner === "person") return ownerText(owner);
  return "session" in owner ? "another session" : "another process";
}

export function isOwnedBy(owner: KeptOwner, { kind, id }: Principal): boolean {
  if (kind === "person") return true;
  return owner !== null && owner !== "person" && "session" in owner && owner.session === id;
}

/** Whether nobody is there any more who owns it. */
export function isTakeable({ sessions }: KeptAtHand, { owner, state }: KeptEntry): boolean {
  if (state !== "ready" || owner === "person") return false;
  return owner === null || ("session" in owner && !sessions.isLive(owner.session));
}

/** What is made by whoever asks is theirs. */
export function ownerOf({ kind, id }: Principal): KeptOwner {
  return kind === "person" ? "person" : { session: id };
}

/** All that a session owns, half-made ones too: they take room. */
export function ownedBy({ ledger }: KeptAtHand, principal: Principal): readonly KeptEntry[] {
  return ledger
    .list()
    .filter(({ what, owner }) => what === "workspace" && owner !== "person")
    .filter(({ owner }) => isOwnedBy(owner, principal));
}

const QUOTA_WAIT_MS = 60_000;

/**
 * Holds the session's room while `claim` takes some of it, so that two calls at once cannot both take
 * the last. Throws `quota-exceeded`. A person has no quota.
 */
export async function withinQuota<T>(
  context: OperationContext,
  kept: KeptAtHand,
  { adding, claim }: { readonly adding: number; readonly claim: () => T },
): Promise<T> {
  const { session, environment, signal } = context;
  if (session.kind === "person") return claim();
  const { quota } = await readSessionPolicy(environment.home);
  const path = kept.ledger.lockPath(`quota-${session.id}`);
  using lock = await lockFile(path, { waitMs: QUOTA_WAIT_MS, signal });
  if (lock === null) throw new Refusal("workspace-failed", "the session's quota is busy");
  const owned = ownedBy(kept, session).length;
  if (owned + adding > quota.workspaces) {
    const message = `${owned} workspaces and ${adding} more are over the quota of ${quota.workspaces}`;
    throw new Refusal("quota-exceeded", message, {
      hint: "destroy some, or raise quota.workspaces in sessions.yaml of the home",
      details: { owned, adding, quota: quota.workspaces },
    });
  }
  return claim();
}

const BEST_FIRST = ["sandbox", "local"] as const;

/** The kind that was asked for, or the configured one, or the best that works here. */
export async function kindFor(
  context: OperationContext,
  kept: KeptAtHand,
  asked: WorkspaceKind | undefined,
): Promise<LastingProvider> {
  const { defaultKind, environment } = context;
  const named =
    asked ?? defaultKind ?? (await readSessionPolicy(environment.home)).default_kind ?? null;
  if (named !== null) return providerOf(kept, named);
  for (const kind of BEST_FIRST) {
    const provider = kept.providers.get(kind);
    if (provider !== undefined && (await provider.probe()).kind === "available") return provider;
  }
  throw new Refusal("workspace-unavailable", "no kind of workspace works on this machine", {
    hint: `\`mycelium workspace probe\` says what is missing for ${WORKSPACE_KINDS.join(", ")}`,
  });
}
