import { join } from "node:path";
import { z } from "zod";
import { ownerProcess, ownerText } from "../../workspaces/kept-ledger.ts";
import { createKept, destroyKept } from "../../workspaces/kept-workspaces.ts";
import { kindsThatAnswer } from "../../workspaces/kinds-that-answer.ts";
import type { WorkspaceInfo } from "../../workspaces/lasting-workspace.ts";
import { sweepKept } from "../../workspaces/sweep.ts";
import {
  kindInBook,
  kindSchema,
  limitsOf,
  limitsSchema,
  lookAt,
  nameSchema,
  networkSchema,
  newNameSchema,
  nothingSchema,
  openKept,
  providerOf,
  secondsSchema,
  unavailableSchema,
  unwrap,
  variablesSchema,
  workspaceAtHand,
} from "../kept-at-hand.ts";
import { defineOperation } from "../operation.ts";
import { findSeed } from "../workspace-seed.ts";

const portSchema = z.int().min(1).max(65_535);

const infoSchema = z.strictObject({
  name: z.string(),
  kind: z.string(),
  /** What is `half-made` is for `sweep` and `destroy`; a kind that is `unavailable` says why. */
  state: z.enum(["running", "stopped", "broken", "half-made", "unavailable"]),
  hostname: z.string().nullable(),
  created_at: z.string().nullable(),
  network: networkSchema.nullable(),
  limits: limitsSchema,
  ports: z.array(z.strictObject({ guest: portSchema, host: portSchema })),
  forked_from: z.string().nullable(),
  owner: z.string(),
});

export type ShownWorkspace = z.output<typeof infoSchema>;

const byName = z.strictObject({ name: nameSchema });

export const createWorkspace = defineOperation({
  name: "workspace.create",
  summary: "Make a workspace that is kept",
  input: z.strictObject({
    name: newNameSchema,
    kind: kindSchema.default("local"),
    /** A folder in the repository; the workspace starts empty where it is left out. */
    repo: z.string().min(1).optional(),
    commit: z.string().min(1).optional(),
    network: networkSchema.optional(),
    limits: limitsSchema.default({}),
    image: z.string().min(1).optional(),
    /** It is this process's, and swept when that is gone; a person's where it is left out. */
    owner_pid: z.int().positive().optional(),
  }),
  output: infoSchema,
  run: async (context, input) => {
    const kept = openKept(context);
    const provider = providerOf(kept, input.kind);
    const { name: id, repo, commit, network, image, owner_pid: pid } = input;
    const seed = await findSeed(context, { repo, commit, branch: `mycelium/${id}` });
    const owner = pid === undefined ? "person" : ownerProcess(pid);
    const limits = limitsOf(input.limits);
    const request = { id, seed, env: kept.env, network, limits, image };
    const made = await createKept({ provider, ledger: kept.ledger, owner }, request);
    return shown(await unwrap(made).info(), ownerText(owner));
  },
});

export const listWorkspaces = defineOperation({
  name: "workspace.list",
  summary: "List the workspaces that are kept",
  input: z.strictObject({ kind: kindSchema.optional() }),
  output: z.strictObject({ workspaces: z.array(infoSchema), unavailable: unavailableSchema }),
  run: async (context, { kind }) => {
    const kept = openKept(context);
    const answering = kindsThatAnswer();
    const workspaces: ShownWorkspace[] = [];
    for (const { id, what, kind: its, owner } of kept.ledger.list()) {
      if (what === "snapshot" || (kind !== undefined && kind !== its)) continue;
      const looked = await lookAt(kept, answering, { id, kind: its });
      const who = ownerText(owner);
      const isThere = looked !== null && looked !== "unavailable";
      workspaces.push(isThere ? shown(looked, who) : unseen(id, its, who, looked ?? "half-made"));
    }
    workspaces.sort((one, other) => (one.name < other.name ? -1 : 1));
    return { workspaces, unavailable: answering.unavailable() };
  },
});

function shown(info: WorkspaceInfo, owner: string): ShownWorkspace {
  const { cpus, memoryMb: memory_mb, diskMb: disk_mb, pids } = info.limits;
  return {
    name: info.id,
    kind: info.kind,
    state: info.state,
    hostname: info.hostname,
    created_at: info.createdAt,
    network: info.network,
    limits: { cpus, memory_mb, disk_mb, pids },
    ports: info.ports.map(({ guestPort: guest, hostPort: host }) => ({ guest, host })),
    forked_from: info.forkedFrom,
    owner,
  };
}

/** What only the book knows. */
function unseen(
  name: string,
  kind: string,
  owner: string,
  state: "half-made" | "unavailable",
): ShownWorkspace {
  return {
    name,
    kind,
    state,
    hostname: null,
    created_at: null,
    network: null,
    limits: {},
    ports: [],
    forked_from: null,
    owner,
  };
}

export const workspaceInfo = defineOperation({
  name: "workspace.info",
  summary: "Show what a workspace is and how it stands",
  input: byName,
  output: infoSchema,
  run: async (context, { name }) => {
    const { workspace, ledger } = await workspaceAtHand(context, name);
    return shown(await workspace.info(), ownerText(ledger.find(name)?.owner ?? null));
  },
});

export const startWorkspace = defineOperation({
  name: "workspace.start",
  summary: "Start a workspace that is stopped",
  input: byName,
  output: nothingSchema,
  run: async (context, { name }) => {
    unwrap(await (await workspaceAtHand(context, name)).workspace.start());
    return { name };
  },
});

export const stopWorkspace = defineOperation({
  name: "workspace.stop",
  summary: "End everything that runs in a workspace, and keep its files",
  input: byName,
  output: nothingSchema,
  run: async (context, { name }) => {
    unwrap(await (await workspaceAtHand(context, name)).workspace.stop());
    return { name };
  },
});

export const destroyWorkspace = defineOperation({
  name: "workspace.destroy",
  summary: "Remove a workspace and all that is in it, and keep its snapshots",
  input: byName,
  output: nothingSchema,
  run: async (context, { name }) => {
    const kept = openKept(context);
    const provider = providerOf(kept, kindInBook(kept, name));
    await destroyKept({ provider, ledger: kept.ledger, owner: null }, name);
    return { name };
  },
});

export const workspaceLogs = defineOperation({
  name: "workspace.logs",
  summary: "Show the end of what the kind wrote about a workspace",
  input: z.strictObject({
    name: nameSchema,
    source: z.enum(["console", "runtime"]).default("runtime"),
    bytes: z.int().min(1).max(1_000_000).default(65_536),
  }),
  output: z.strictObject({ name: z.string(), source: z.string(), text: z.string() }),
  run: async (context, { name, source, bytes: bytesMax }) => {
    const { workspace } = await workspaceAtHand(context, name);
    return { name, source, text: unwrap(await workspace.logs({ source, bytesMax })) };
  },
});

const envOutput = z.strictObject({ name: z.string(), variables: variablesSchema });

export const setWorkspaceEnv = defineOperation({
  name: "workspace.setenv",
  summary: "Set variables that all its commands get, and its forks",
  input: z.strictObject({ name: nameSchema, variables: variablesSchema }),
  output: z.strictObject({ name: z.string(), count: z.int(), status: z.literal("set") }),
  run: async (context, { name, variables }) => {
    const { workspace } = await workspaceAtHand(context, name);
    unwrap(await workspace.setEnv(variables));
    return { name, count: Object.keys(variables).length, status: "set" as const };
  },
});

export const unsetWorkspaceEnv = defineOperation({
  name: "workspace.unsetenv",
  summary: "Take variables away again",
  input: z.strictObject({ name: nameSchema, names: z.array(z.string()).min(1) }),
  output: envOutput,
  run: async (context, { name, names }) => {
    const { workspace } = await workspaceAtHand(context, name);
    unwrap(await workspace.unsetEnv(names));
    return { name, variables: { ...unwrap(await workspace.listEnv()) } };
  },
});

export const listWorkspaceEnv = defineOperation({
  name: "workspace.listenv",
  summary: "Show its variables",
  input: byName,
  output: envOutput,
  run: async (context, { name }) => {
    const { workspace } = await workspaceAtHand(context, name);
    return { name, variables: { ...unwrap(await workspace.listEnv()) } };
  },
});

const probeSchema = z.strictObject({
  kind: z.string(),
  isolation: z.string(),
  available: z.boolean(),
  details: z.string(),
  hint: z.string().nullable(),
});

export const probeWorkspaces = defineOperation({
  name: "workspace.probe",
  summary: "Find out which kinds of workspaces this machine can have",
  input: z.strictObject({ kind: kindSchema.optional() }),
  output: z.strictObject({ kinds: z.array(probeSchema) }),
  run: async (context, { kind }) => {
    const kept = openKept(context);
    const wanted = kind === undefined ? [...kept.providers.values()] : [providerOf(kept, kind)];
    const kinds = await Promise.all(
      wanted.map(async (provider) => {
        const { kind: name, isolation } = provider;
        const probe = await provider.probe();
        return probe.kind === "available"
          ? { kind: name, isolation, available: true, details: probe.details, hint: null }
          : { kind: name, isolation, available: false, details: probe.what, hint: probe.hint };
      }),
    );
    return { kinds };
  },
});

const DAY_SECONDS = 86_400;

export const sweepWorkspaces = defineOperation({
  name: "workspace.sweep",
  summary: "Remove what killed makers left, and what nobody owns any more",
  input: z.strictObject({
    after_seconds: z.union([z.literal(0), secondsSchema]).default(DAY_SECONDS),
    dry_run: z.boolean().default(false),
  }),
  output: z.strictObject({
    dry_run: z.boolean(),
    removed: z.array(
      z.strictObject({
        id: z.string(),
        what: z.enum(["workspace", "snapshot"]),
        kind: z.string(),
        why: z.enum(["half-made", "half-removed", "unowned"]),
        /** The folder with its work; `null` where there was none. */
        rescued: z.string().nullable(),
      }),
    ),
    failed: z.array(z.strictObject({ id: z.string(), message: z.string() })),
    waiting: z.array(z.strictObject({ id: z.string(), since: z.string() })),
    /** What nothing needs any more of the caches, in words. */
    pruned: z.array(z.string()),
  }),
  run: async (context, { after_seconds: seconds, dry_run: dryRun }) => {
    const { ledger, providers, env, sessions } = openKept(context);
    const swept = await sweepKept({
      ledger,
      providers: [...providers.values()],
      clock: context.clock,
      afterMs: seconds * 1000,
      rescuedDir: join(context.environment.home, "rescued"),
      env,
      dryRun,
      isSessionLive: (id) => sessions.isLive(id),
    });
    return {
      dry_run: dryRun,
      removed: [...swept.removed],
      failed: [...swept.failed],
      waiting: [...swept.waiting],
      pruned: [...swept.pruned],
    };
  },
});

export type ShownProbes = z.output<(typeof probeWorkspaces)["output"]>;
export type ShownSweep = z.output<(typeof sweepWorkspaces)["output"]>;
