import { Refusal } from "../domain/failure.ts";
import { lockFile } from "../lib/file-lock.ts";
import { readSessionPolicy } from "../sessions/policy.ts";
import {
  ownerText,
  roomTakenBy,
  self,
  selfForSwarm,
  type KeptEntry,
  type KeptOwner,
} from "../workspaces/kept-ledger.ts";
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

/** A snapshot is whose its workspace is; where that is gone, who took it. */
export function refuseForeignSnapshot(
  { session }: OperationContext,
  kept: KeptAtHand,
  id: string,
): void {
  const [workspace = ""] = id.split("@");
  const entry = kept.ledger.find(id);
  const isOwn = entry !== null && isOwnedBy(entry.owner, session);
  if (kept.ledger.find(workspace) === null && isOwn) return;
  if (kept.ledger.find(workspace) === null) refuseForeign(kept, session, id);
  else refuseForeign(kept, session, workspace);
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

/** Workers are in the hands of whoever conducts their swarm, and take its session's room. */
export function workerOwnerOf({ kind, id }: Principal, swarm: string): KeptOwner {
  return kind === "person" ? self() : selfForSwarm(id, swarm);
}

/**
 * The room that a session takes: what it owns, half-made ones too; workers of its swarms, also of
 * those whose process was killed; and what is promised to swarms that go on, beside `instead`.
 */
function roomOf({ ledger, rooms }: KeptAtHand, session: string, instead: string | null): number {
  const workers = new Map<string, number>();
  let taken = 0;
  for (const entry of ledger.list()) {
    const room = entry.what === "workspace" ? roomTakenBy(entry) : null;
    if (room?.session !== session) continue;
    if (room.swarm === null) taken += 1;
    else workers.set(room.swarm, (workers.get(room.swarm) ?? 0) + 1);
  }
  const promised = new Map(rooms.heldBy(session).map(({ id, workspaces }) => [id, workspaces]));
  for (const id of new Set([...workers.keys(), ...promised.keys()])) {
    if (id !== instead) taken += Math.max(workers.get(id) ?? 0, promised.get(id) ?? 0);
  }
  return taken;
}

const QUOTA_WAIT_MS = 60_000;

export interface RoomClaim<T> {
  /** So many workspaces. */
  readonly adding: number;
  /** A promise of room that this one takes the place of. */
  readonly instead?: string;
  /** Takes it, before it first waits for anything. */
  readonly claim: () => T;
}

/**
 * Holds the session's room while `claim` takes some of it, so that two calls at once cannot both take
 * the last. Throws `quota-exceeded`. A person has no quota.
 */
export async function withinQuota<T>(
  context: Pick<OperationContext, "session" | "environment" | "signal">,
  kept: KeptAtHand,
  { adding, instead, claim }: RoomClaim<T>,
): Promise<T> {
  const { session, environment, signal } = context;
  if (session.kind === "person") return claim();
  const { quota } = await readSessionPolicy(environment.home);
  const path = kept.ledger.lockPath(`quota-${session.id}`);
  using lock = await lockFile(path, { waitMs: QUOTA_WAIT_MS, signal });
  if (lock === null) throw new Refusal("workspace-failed", "the session's quota is busy");
  const owned = roomOf(kept, session.id, instead ?? null);
  if (owned + adding > quota.workspaces) {
    const message = `${owned} workspaces and ${adding} more are over the quota of ${quota.workspaces}`;
    throw new Refusal("quota-exceeded", message, {
      hint: "destroy some, or raise quota.workspaces in sessions.yaml of the home",
      details: { owned, adding, quota: quota.workspaces },
    });
  }
  return claim();
}

/**
 * Promises room to a swarm, so that nothing else takes what its workers will need. Given back when it
 * is disposed of. Throws `quota-exceeded`.
 */
export async function holdRoom(
  context: OperationContext,
  kept: KeptAtHand,
  { id, workspaces }: { readonly id: string; readonly workspaces: number },
): Promise<Disposable> {
  const { session } = context;
  if (session.kind === "person") return { [Symbol.dispose]: () => undefined };
  const claim = () => kept.rooms.hold({ id, session: session.id, workspaces });
  return withinQuota(context, kept, { adding: workspaces, instead: id, claim });
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
