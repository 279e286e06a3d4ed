import { z } from "zod";
import { Refusal, type Failure } from "../../domain/failure.ts";
import { deleteKeptSnapshot, forkKept, snapshotKept } from "../../workspaces/kept-workspaces.ts";
import { kindsThatAnswer } from "../../workspaces/kinds-that-answer.ts";
import type { Snapshot } from "../../workspaces/lasting-workspace.ts";
import { prepareGolden } from "../../workspaces/prepare.ts";
import {
  kindInBook,
  kindSchema,
  limitsOf,
  limitsSchema,
  nameSchema,
  networkSchema,
  newNameSchema,
  nothingSchema,
  openKept,
  providerOf,
  secondsSchema,
  snapshotIdSchema,
  unavailableSchema,
  unwrap,
  variablesSchema,
  workspaceAtHand,
} from "../kept-at-hand.ts";
import { defineOperation } from "../operation.ts";
import { findSeed } from "../workspace-seed.ts";

const FORKS_MAX = 256;
const COMMAND_SECONDS = 900;

const snapshotSchema = z.strictObject({
  id: z.string(),
  kind: z.string(),
  workspace: z.string(),
  parent: z.string().nullable(),
  created_at: z.string(),
  live: z.boolean(),
  references: z.int(),
});

export type ShownSnapshot = z.output<typeof snapshotSchema>;

export const createSnapshot = defineOperation({
  name: "snapshot.create",
  summary: "Freeze a workspace's state under a name",
  input: z.strictObject({ name: nameSchema, snapshot: nameSchema }),
  output: snapshotSchema,
  run: async (context, { name, snapshot }) => {
    const { ledger, provider, workspace } = await workspaceAtHand(context, name);
    const taken = await snapshotKept({ provider, ledger }, workspace, snapshot);
    return shown(unwrap(taken), provider.kind);
  },
});

export const listSnapshots = defineOperation({
  name: "snapshot.list",
  summary: "List snapshots, of one workspace or of all",
  input: z.strictObject({ name: nameSchema.optional() }),
  output: z.strictObject({ snapshots: z.array(snapshotSchema), unavailable: unavailableSchema }),
  run: async (context, { name }) => {
    const answering = kindsThatAnswer();
    const snapshots: ShownSnapshot[] = [];
    for (const provider of openKept(context).providers.values()) {
      const its = await answering.ask(provider.kind, () => provider.listSnapshots());
      for (const snapshot of its.ok ? its.value : []) {
        const isWanted = name === undefined || snapshot.workspace === name;
        if (isWanted) snapshots.push(shown(snapshot, provider.kind));
      }
    }
    return { snapshots, unavailable: answering.unavailable() };
  },
});

function shown(snapshot: Snapshot, kind: string): ShownSnapshot {
  const { id, workspace, parent, createdAt: created_at, live, references } = snapshot;
  return { id, kind, workspace, parent, created_at, live, references };
}

export const restoreSnapshot = defineOperation({
  name: "snapshot.restore",
  summary: "Bring a workspace back to one of its snapshots",
  input: z.strictObject({ name: nameSchema, snapshot: z.string().min(1) }),
  output: z.strictObject({ name: z.string(), snapshot: z.string() }),
  run: async (context, { name, snapshot }) => {
    const id = snapshot.includes("@") ? snapshot : `${name}@${snapshot}`;
    unwrap(await (await workspaceAtHand(context, name)).workspace.restore(id));
    return { name, snapshot: id };
  },
});

export const deleteSnapshot = defineOperation({
  name: "snapshot.delete",
  summary: "Delete a snapshot that nothing stands on",
  input: z.strictObject({ snapshot: snapshotIdSchema }),
  output: nothingSchema,
  run: async (context, { snapshot }) => {
    const kept = openKept(context);
    const provider = providerOf(kept, kindInBook(kept, snapshot));
    unwrap(await deleteKeptSnapshot({ provider, ledger: kept.ledger }, snapshot));
    return { name: snapshot };
  },
});

export const forkSnapshot = defineOperation({
  name: "workspace.fork",
  summary: "Make workspaces from a snapshot, in parallel",
  input: z.strictObject({
    snapshot: snapshotIdSchema,
    names: z.array(newNameSchema).min(1).max(FORKS_MAX),
    network: networkSchema.optional(),
    limits: limitsSchema.default({}),
  }),
  output: z.strictObject({
    snapshot: z.string(),
    forks: z.array(z.string()),
    failures: z.array(z.strictObject({ name: z.string(), code: z.string(), message: z.string() })),
  }),
  run: async (context, input) => {
    const { snapshot, names, network } = input;
    const kept = openKept(context);
    const provider = providerOf(kept, kindInBook(kept, snapshot));
    const limits = limitsOf(input.limits);
    const requests = names.map((id) => ({ id, env: kept.env, network, limits }));
    const means = { provider, ledger: kept.ledger, owner: "person" as const };
    const results = await forkKept(means, snapshot, requests);
    const forks = results.flatMap((result) => (result.ok ? result.value.id : []));
    const failures = results.flatMap((result, at) =>
      result.ok ? [] : { name: names[at] ?? "", failure: result.failure },
    );
    const first = failures[0]?.failure;
    if (forks.length === 0 && first !== undefined) throw refusalOf(first);
    const told = failures.map(({ name, failure: { code, message } }) => ({ name, code, message }));
    return { snapshot, forks, failures: told };
  },
});

function refusalOf({ code, message, details, hint }: Failure): Refusal {
  return new Refusal(code, message, { details, ...(hint !== null && { hint }) });
}

export const prepareWorkspaces = defineOperation({
  name: "workspace.prepare",
  summary: "Make a golden snapshot by set-up commands, or find the one that there is",
  input: z.strictObject({
    kind: kindSchema.default("local"),
    repo: z.string().min(1).optional(),
    commit: z.string().min(1).optional(),
    commands: z.array(z.string().min(1).max(10_000)).max(100),
    variables: variablesSchema.default({}),
    network: networkSchema.optional(),
    limits: limitsSchema.default({}),
    image: z.string().min(1).optional(),
    timeout_seconds: secondsSchema.default(COMMAND_SECONDS),
  }),
  output: z.strictObject({ snapshot: snapshotSchema, hash: z.string(), reused: z.boolean() }),
  run: async (context, input) => {
    const kept = openKept(context);
    const provider = providerOf(kept, input.kind);
    const { repo, commit, commands, variables, network, image } = input;
    const seed = await findSeed(context, { repo, commit, branch: "mycelium/golden" });
    const limits = limitsOf(input.limits);
    const golden = await prepareGolden({
      provider,
      ledger: kept.ledger,
      inputs: { seed, env: kept.env, commands, variables, network, limits, image },
      commandTimeoutMs: input.timeout_seconds * 1000,
      signal: context.signal,
    });
    const { snapshot, ...rest } = unwrap(golden);
    return { ...rest, snapshot: shown(snapshot, provider.kind) };
  },
});
