import { z } from "zod";
import { Refusal } from "../../../domain/failure.ts";
import { lockFile } from "../../../lib/file-lock.ts";
import type { KeptEntry } from "../../../workspaces/kept-ledger.ts";
import { adoptWork } from "../../adopt-work.ts";
import { openKept, type KeptAtHand } from "../../kept-at-hand.ts";
import type { OperationContext } from "../../operation.ts";
import { isOwnedBy, isTakeable, ownerOf, withinQuota } from "../../owned-workspace.ts";
import { defineTool, workspaceId } from "./shapes.ts";

const LOCK_WAIT_MS = 30_000;

const errorSchema = z.strictObject({
  workspace_id: z.string(),
  code: z.string(),
  message: z.string(),
});

export const toolWorkspaceAdopt = defineTool({
  name: "workspace_adopt",
  summary:
    "Take over a workspace whose session has ended, with the swarms and teams that it has a part in; " +
    "without workspace_id, all such",
  does: "changes",
  input: z.strictObject({
    workspace_id: workspaceId
      .optional()
      .describe("Or the id of a snapshot whose workspace is gone"),
    force: z
      .boolean()
      .default(false)
      .describe("Says why a workspace that somebody works on cannot be had; takes none from them"),
  }),
  output: z.strictObject({
    adopted: z.array(z.string()),
    errors: z.array(errorSchema),
    /** Ids of swarms, and names of teams. */
    swarms: z.array(z.string()),
    teams: z.array(z.string()),
    summary: z.strictObject({
      total: z.int(),
      adopted_count: z.int(),
      already_owned: z.int(),
      session_active: z.int(),
      error_count: z.int(),
    }),
  }),
  run: async (context, { workspace_id: id, force }) => {
    const kept = openKept(context);
    const adopted =
      id === undefined
        ? await adoptAll(context, kept)
        : await adoptOne(context, kept, { id, force });
    const { swarms, teams } = await adoptWork(context, kept, id ?? null);
    return { ...adopted, swarms: [...swarms], teams: [...teams] };
  },
});

interface Outcome {
  readonly total: number;
  readonly adopted: readonly string[];
  readonly errors?: readonly z.output<typeof errorSchema>[];
  readonly owned?: number;
  readonly active?: number;
}

function answer({ total, adopted, errors = [], owned = 0, active = 0 }: Outcome) {
  return {
    adopted: [...adopted],
    errors: [...errors],
    summary: {
      total,
      adopted_count: adopted.length,
      already_owned: owned,
      session_active: active,
      error_count: errors.length,
    },
  };
}

async function adoptOne(
  context: OperationContext,
  kept: KeptAtHand,
  { id, force }: { readonly id: string; readonly force: boolean },
) {
  await adopt(context, kept, { id, force });
  return answer({ total: 1, adopted: [id] });
}

/** What a person or a live session owns is left alone. */
async function adoptAll(context: OperationContext, kept: KeptAtHand) {
  const entries = kept.ledger.list().filter((entry) => isAdoptable(kept, entry));
  const owned = entries.filter(({ owner }) => isOwnedBy(owner, context.session));
  const takeable = entries.filter((entry) => !owned.includes(entry) && isTakeable(kept, entry));
  const adopted: string[] = [];
  const errors: z.output<typeof errorSchema>[] = [];
  for (const { id } of takeable) {
    try {
      await adopt(context, kept, { id, force: false });
      adopted.push(id);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      errors.push({ workspace_id: id, code: error.failure.code, message: error.message });
    }
  }
  const active = entries.length - owned.length - takeable.length;
  return answer({ total: entries.length, adopted, errors, owned: owned.length, active });
}

/** One taker at a time: of two at once, the second finds that it has an owner. */
async function adopt(
  context: OperationContext,
  kept: KeptAtHand,
  { id, force }: { readonly id: string; readonly force: boolean },
): Promise<void> {
  refuseUnknown(kept, id);
  const path = kept.ledger.lockPath(`adopt-${id}`);
  using lock = await lockFile(path, { waitMs: LOCK_WAIT_MS, signal: context.signal });
  if (lock === null)
    throw new Refusal("workspace-failed", `${id} is being adopted by another call`);
  await withinQuota(context, kept, {
    adding: isOwn(context, kept, id) || kept.ledger.find(id)?.what === "snapshot" ? 0 : 1,
    claim: () => {
      const entry = refuseUnknown(kept, id);
      if (isOwn(context, kept, id)) throw alreadyOwned(id, force);
      if (!isTakeable(kept, entry)) throw stillActive(id, entry.owner === "person", force);
      kept.ledger.write({ ...entry, owner: ownerOf(context.session), unownedSince: null });
    },
  });
}

function isOwn(context: OperationContext, { ledger }: KeptAtHand, id: string): boolean {
  const entry = ledger.find(id);
  return entry !== null && isOwnedBy(entry.owner, context.session);
}

/** A snapshot goes with its workspace, as long as there is one. */
function isAdoptable({ ledger }: KeptAtHand, { id, what }: KeptEntry): boolean {
  return what === "workspace" || ledger.find(id.split("@")[0] ?? "") === null;
}

function refuseUnknown(kept: KeptAtHand, id: string) {
  const entry = kept.ledger.find(id);
  if (entry !== null && isAdoptable(kept, entry)) return entry;
  throw new Refusal("workspace-missing", `there is no workspace ${JSON.stringify(id)}`, {
    hint: "workspace_list shows what there is",
  });
}

/** The asking session is one whose lease runs: force finds it active, as it would any other. */
function alreadyOwned(id: string, force: boolean): Refusal {
  if (force) {
    return new Refusal("session-active", `${id}: session still active, and it is this one`, {
      hint: "there is nothing to adopt: it is yours",
    });
  }
  return new Refusal("already-owned", `${id} is already owned by this session`, {
    hint: "there is nothing to adopt",
  });
}

function stillActive(id: string, isPersons: boolean, force: boolean): Refusal {
  if (isPersons) {
    return new Refusal("not-owner", `${id} belongs to a person, and cannot be adopted`, {
      hint: "fork a snapshot of your own, or ask them",
    });
  }
  const message = force ? `${id}: session still active` : `${id} is owned by another session`;
  return new Refusal("session-active", message, {
    hint: "it can be adopted when that session has ended",
  });
}
