import { randomBytes } from "node:crypto";
import { z } from "zod";
import { createKept, destroyKept } from "../../../workspaces/kept-workspaces.ts";
import { kindsThatAnswer } from "../../../workspaces/kinds-that-answer.ts";
import {
  kindInBook,
  kindSchema,
  lookAt,
  openKept,
  providerOf,
  unavailableSchema,
  unwrap,
} from "../../kept-at-hand.ts";
import {
  isOwnedBy,
  kindFor,
  ownedWorkspace,
  ownerOf,
  refuseForeign,
  withinQuota,
} from "../../owned-workspace.ts";
import { findSessionSeed, seedInput } from "./seed.ts";
import { defineTool, newName, workspaceId } from "./shapes.ts";
import {
  shownWorkspace,
  unseenWorkspace,
  workspaceSchema,
  type ShownWorkspace,
} from "./shown-workspace.ts";

const GB_MB = 1024;

/** Wishes for a new workspace; a kind that cannot hold one refuses it by name. */
export const wishesInput = {
  kind: kindSchema
    .optional()
    .describe("local, sandbox, docker or vm; the best that works here where it is left out"),
  base_image: z.string().min(1).max(128).optional().describe("For docker and vm"),
  vcpus: z.number().positive().max(4096).optional(),
  memory_mb: z.int().positive().optional(),
  disk_gb: z.number().positive().max(100_000).optional(),
  pids: z.int().positive().optional(),
  allow_internet: z.boolean().optional().describe("Where it is false, nothing gets out"),
};

export function wishesOf(input: z.output<z.ZodObject<typeof wishesInput>>) {
  const { base_image: image, vcpus: cpus, memory_mb: memoryMb, disk_gb: diskGb, pids } = input;
  const diskMb = diskGb === undefined ? undefined : Math.ceil(diskGb * GB_MB);
  const network =
    input.allow_internet === undefined ? undefined : input.allow_internet ? "allow" : "none";
  return { image, network, limits: { cpus, memoryMb, diskMb, pids } } as const;
}

export function freshName(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString("hex")}`;
}

export const toolWorkspaceCreate = defineTool({
  name: "workspace_create",
  summary: "Make a workspace: an isolated place with files and commands, which is kept",
  does: "changes",
  cost: () => ({ create: 1 }),
  input: z.strictObject({
    name: newName.optional().describe("One is made up where it is left out"),
    ...wishesInput,
    ...seedInput,
  }),
  output: workspaceSchema,
  run: async (context, input) => {
    const kept = openKept(context);
    const provider = await kindFor(context, kept, input.kind);
    const id = input.name ?? freshName("ws");
    const seed = await findSessionSeed(context, input, `mycelium/${id}`);
    const request = { id, seed, env: kept.env, ...wishesOf(input) };
    const means = { provider, ledger: kept.ledger, owner: ownerOf(context.session) };
    const claim = () => createKept(means, request);
    const made = unwrap(await withinQuota(context, kept, { adding: 1, claim }));
    return shownWorkspace(await made.info(), true);
  },
});

export const toolWorkspaceList = defineTool({
  name: "workspace_list",
  summary: "List the workspaces that there are, with whose they are",
  does: "reads",
  input: z.strictObject({
    state_filter: z.enum(["running", "stopped", "broken", "half-made", "unavailable"]).optional(),
    owned_only: z.boolean().default(false),
  }),
  output: z.strictObject({
    workspaces: z.array(workspaceSchema),
    count: z.int(),
    unavailable: unavailableSchema,
  }),
  run: async (context, { state_filter: state, owned_only: isOwnedOnly }) => {
    const kept = openKept(context);
    const answering = kindsThatAnswer();
    const workspaces: ShownWorkspace[] = [];
    for (const entry of kept.ledger.list()) {
      const isOwned = isOwnedBy(entry.owner, context.session);
      if (entry.what === "snapshot" || (isOwnedOnly && !isOwned)) continue;
      const looked = await lookAt(kept, answering, entry);
      const isThere = looked !== null && looked !== "unavailable";
      const shown = isThere
        ? shownWorkspace(looked, isOwned)
        : unseenWorkspace(entry, isOwned, looked ?? "half-made");
      if (state === undefined || shown.state === state) workspaces.push(shown);
    }
    workspaces.sort((one, other) => (one.name < other.name ? -1 : 1));
    return { workspaces, count: workspaces.length, unavailable: answering.unavailable() };
  },
});

const byId = z.strictObject({ workspace_id: workspaceId });

export const toolWorkspaceInfo = defineTool({
  name: "workspace_info",
  summary: "Show what a workspace is and how it stands, with its snapshots",
  does: "reads",
  input: byId,
  output: workspaceSchema.extend({
    repository_dir: z.string(),
    env: z.array(z.string()),
    snapshots: z.array(z.string()),
  }),
  run: async (context, { workspace_id: id }) => {
    const { workspace, provider } = await ownedWorkspace(context, id);
    const snapshots = (await provider.listSnapshots()).filter((one) => one.workspace === id);
    const variables = await workspace.listEnv();
    return {
      ...shownWorkspace(await workspace.info(), true),
      repository_dir: workspace.repositoryDir,
      env: variables.ok ? Object.keys(variables.value) : [],
      snapshots: snapshots.map(({ name }) => name),
    };
  },
});

const stateOutput = z.strictObject({
  workspace_id: z.string(),
  state: z.enum(["running", "stopped", "broken"]),
});

export const toolWorkspaceStart = defineTool({
  name: "workspace_start",
  summary: "Start a workspace that is stopped",
  does: "changes",
  input: byId,
  output: stateOutput,
  run: async (context, { workspace_id: id }) => {
    const { workspace } = await ownedWorkspace(context, id);
    unwrap(await workspace.start());
    return { workspace_id: id, state: (await workspace.info()).state };
  },
});

export const toolWorkspaceStop = defineTool({
  name: "workspace_stop",
  summary: "End everything that runs in a workspace; files, variables and snapshots stay",
  does: "destroys",
  input: byId,
  output: stateOutput,
  run: async (context, { workspace_id: id }) => {
    const { workspace } = await ownedWorkspace(context, id);
    unwrap(await workspace.stop());
    return { workspace_id: id, state: (await workspace.info()).state };
  },
});

export const toolWorkspaceDestroy = defineTool({
  name: "workspace_destroy",
  summary: "Remove a workspace and all that is in it; its snapshots stay until they are deleted",
  does: "destroys",
  input: byId,
  output: z.strictObject({
    workspace_id: z.string(),
    destroyed: z.literal(true),
    kept_snapshots: z.array(z.string()),
  }),
  run: async (context, { workspace_id: id }) => {
    const kept = openKept(context);
    const provider = providerOf(kept, kindInBook(kept, id));
    refuseForeign(kept, context.session, id);
    await destroyKept({ provider, ledger: kept.ledger, owner: null }, id);
    const left = (await provider.listSnapshots()).filter(({ workspace }) => workspace === id);
    const snapshots = left.map((snapshot) => snapshot.id);
    return { workspace_id: id, destroyed: true as const, kept_snapshots: snapshots };
  },
});

const BYTES_A_LINE = 4_096;
const LOG_BYTES_MAX = 1_000_000;

export const toolWorkspaceLogs = defineTool({
  name: "workspace_logs",
  summary: "Show the end of what the kind wrote about a workspace: its console, its runtime",
  does: "reads",
  input: z.strictObject({
    workspace_id: workspaceId,
    log_type: z.enum(["all", "console", "runtime"]).default("all"),
    max_lines: z.int().min(1).max(10_000).default(100),
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    logs: z.array(z.strictObject({ log_type: z.enum(["console", "runtime"]), text: z.string() })),
  }),
  run: async (context, { workspace_id: id, log_type: wanted, max_lines: linesMax }) => {
    const { workspace } = await ownedWorkspace(context, id);
    const bytesMax = Math.min(LOG_BYTES_MAX, linesMax * BYTES_A_LINE);
    const logs: { log_type: "console" | "runtime"; text: string }[] = [];
    for (const source of ["console", "runtime"] as const) {
      if (wanted !== "all" && wanted !== source) continue;
      const read = await workspace.logs({ source, bytesMax });
      // A kind without a console has no such log among all; asked for by name, it says so.
      const isLeftOut =
        !read.ok && wanted === "all" && read.failure.code === "workspace-unsupported";
      if (isLeftOut) continue;
      const lines = unwrap(read).split("\n");
      logs.push({ log_type: source, text: lines.slice(-linesMax - 1).join("\n") });
    }
    return { workspace_id: id, logs };
  },
});
