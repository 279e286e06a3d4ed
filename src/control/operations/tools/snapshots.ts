import { z } from "zod";
import { Refusal } from "../../../domain/failure.ts";
import { deleteKeptSnapshot, forkKept, snapshotKept } from "../../../workspaces/kept-workspaces.ts";
import type { LastingProvider, Snapshot } from "../../../workspaces/lasting-workspace.ts";
import { kindInBook, openKept, providerOf, unwrap, type KeptAtHand } from "../../kept-at-hand.ts";
import type { OperationContext } from "../../operation.ts";
import {
  ownedWorkspace,
  ownerOf,
  refuseForeignSnapshot,
  withinQuota,
} from "../../owned-workspace.ts";
import { isGoldenOf } from "./goldens.ts";
import { defineTool, newName, snapshotName, workspaceId } from "./shapes.ts";
import { wishesInput, wishesOf } from "./life.ts";

const FORKS_MAX = 20;
const PREFIX_LENGTH_MAX = 58;
const NUMBERS_TRIED_MAX = 10_000;

const snapshotSchema = z.strictObject({
  snapshot_id: z.string(),
  name: z.string(),
  workspace_id: z.string(),
  parent: z.string().nullable(),
  created_at: z.string(),
  /** Whether processes and memory are in it. */
  has_memory: z.boolean(),
  /** Workspaces and snapshots that stand on it: it can be deleted at none. */
  references: z.int(),
});

function shown(snapshot: Snapshot): z.output<typeof snapshotSchema> {
  return {
    snapshot_id: snapshot.id,
    name: snapshot.name,
    workspace_id: snapshot.workspace,
    parent: snapshot.parent,
    created_at: snapshot.createdAt,
    has_memory: snapshot.live,
    references: snapshot.references,
  };
}

export const toolSnapshot = defineTool({
  name: "snapshot",
  summary: "Freeze a workspace's state under a name, go back to one, list them, or delete one",
  does: "destroys",
  input: z.strictObject({
    workspace_id: workspaceId,
    action: z.enum(["create", "restore", "list", "delete"]),
    name: snapshotName.optional().describe("All but list need one"),
    include_memory: z
      .boolean()
      .optional()
      .describe("Refused where the kind cannot freeze processes and memory"),
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    action: z.string(),
    snapshot: snapshotSchema.nullable(),
    snapshots: z.array(snapshotSchema),
  }),
  run: async (context, input) => {
    const { workspace_id: id, action } = input;
    const kept = openKept(context);
    const answer = (snapshot: Snapshot | null, all: readonly Snapshot[]) => {
      const snapshots = all.filter((one) => one.workspace === id).map(shown);
      const one = snapshot === null ? null : shown(snapshot);
      return { workspace_id: id, action, snapshot: one, snapshots };
    };
    if (action === "delete") {
      // Snapshots stay when their workspace is gone, and are its owner's still.
      const provider = await remove(context, kept, snapshotOf(input));
      return answer(null, await provider.listSnapshots());
    }
    const { workspace, provider, ledger } = await ownedWorkspace(context, id);
    if (input.include_memory === true) refuseMemory(provider);
    if (action === "create") {
      const { name } = snapshotOf(input);
      const means = { provider, ledger, owner: ownerOf(context.session) };
      const taken = unwrap(await snapshotKept(means, workspace, name));
      return answer(taken, await provider.listSnapshots());
    }
    if (action === "restore") unwrap(await workspace.restore(snapshotOf(input).id));
    return answer(null, await provider.listSnapshots());
  },
});

interface NamedSnapshot {
  readonly id: string;
  readonly name: string;
}

function snapshotOf(input: {
  readonly workspace_id: string;
  readonly action: string;
  readonly name?: string | undefined;
}): NamedSnapshot {
  const { workspace_id: id, name, action } = input;
  if (name === undefined) throw new Refusal("usage", `name: is required to ${action} one`);
  return { id: `${id}@${name}`, name };
}

async function remove(
  context: OperationContext,
  kept: KeptAtHand,
  { id }: NamedSnapshot,
): Promise<LastingProvider> {
  const provider = providerOf(kept, kindInBook(kept, id));
  refuseForeignSnapshot(context, kept, id);
  unwrap(await deleteKeptSnapshot({ provider, ledger: kept.ledger }, id));
  return provider;
}

function refuseMemory({ kind }: LastingProvider): void {
  if (kind === "vm") return;
  throw new Refusal("workspace-unsupported", `a ${kind} workspace's memory cannot be frozen`, {
    hint: "vm workspaces are frozen with their processes and memory",
    details: { kind },
  });
}

export const toolWorkspaceFork = defineTool({
  name: "workspace_fork",
  summary: "Make 1 to 20 workspaces from a snapshot at once, each with an identity of its own",
  does: "changes",
  long: true,
  cost: ({ count }) => ({ create: count }),
  input: z.strictObject({
    workspace_id: workspaceId.describe("The workspace that the snapshot is of"),
    snapshot_name: snapshotName,
    new_name: newName.optional().describe("For one"),
    count: z.int().min(1).max(FORKS_MAX, `max length is ${FORKS_MAX}`).default(1),
    name_prefix: newName
      .max(PREFIX_LENGTH_MAX)
      .default("worker")
      .describe("They are called PREFIX-1 and so on; numbers that are taken are left out"),
    vcpus: wishesInput.vcpus,
    memory_mb: wishesInput.memory_mb,
    disk_gb: wishesInput.disk_gb,
    pids: wishesInput.pids,
    allow_internet: wishesInput.allow_internet,
  }),
  output: z.strictObject({
    forked_from: z.string(),
    requested: z.int(),
    succeeded: z.int(),
    failed: z.int(),
    workers: z.array(
      z.strictObject({ workspace_id: z.string(), name: z.string(), hostname: z.string() }),
    ),
    failures: z.array(z.strictObject({ name: z.string(), code: z.string(), message: z.string() })),
  }),
  run: async (context, input) => {
    const { workspace_id: id, count, new_name: newOne, name_prefix: prefix } = input;
    const kept = openKept(context);
    const snapshot = `${id}@${input.snapshot_name}`;
    const provider = providerOf(kept, kindInBook(kept, snapshot));
    if (!isGoldenOf(snapshot)) refuseForeignSnapshot(context, kept, snapshot);
    if (newOne !== undefined && count > 1) {
      throw new Refusal("usage", "new_name: is for one fork; name_prefix names many");
    }
    const names = newOne === undefined ? freeNames(kept, prefix, count) : [newOne];
    const { network, limits } = wishesOf(input);
    const requests = names.map((name) => ({ id: name, env: kept.env, network, limits }));
    const means = { provider, ledger: kept.ledger, owner: ownerOf(context.session) };
    context.onProgress?.(0, count, `forking ${snapshot}`);
    const results = await withinQuota(context, kept, {
      adding: count,
      claim: () => forkKept(means, snapshot, requests),
    });
    context.onProgress?.(count, count, `forked ${snapshot}`);
    const workers = await Promise.all(
      results.flatMap((result) => (result.ok ? [result.value.info()] : [])),
    );
    const failures = results.flatMap((result, at) => {
      if (result.ok) return [];
      const { code, message } = result.failure;
      return [{ name: names[at] ?? "", code, message }];
    });
    const first = results.find((result) => !result.ok);
    if (workers.length === 0 && first !== undefined) unwrap(first);
    return {
      forked_from: snapshot,
      requested: count,
      succeeded: workers.length,
      failed: failures.length,
      workers: workers.map((info) => ({
        workspace_id: info.id,
        name: info.id,
        hostname: info.hostname,
      })),
      failures,
    };
  },
});

function freeNames({ ledger }: KeptAtHand, prefix: string, count: number): readonly string[] {
  const names: string[] = [];
  for (let number = 1; names.length < count && number <= NUMBERS_TRIED_MAX; number += 1) {
    const name = `${prefix}-${number}`;
    if (ledger.find(name) === null) names.push(name);
  }
  if (names.length === count) return names;
  throw new Refusal("workspace-exists", `too many workspaces are called ${prefix}-…`, {
    hint: "choose another name_prefix, or destroy some",
  });
}
