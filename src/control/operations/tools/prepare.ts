import { z } from "zod";
import { Refusal, type Result } from "../../../domain/failure.ts";
import { lockFile } from "../../../lib/file-lock.ts";
import { destroyKept, forkKept, snapshotKept } from "../../../workspaces/kept-workspaces.ts";
import type { LastingProvider, LastingWorkspace } from "../../../workspaces/lasting-workspace.ts";
import { prepareGolden, type Golden, type GoldenInputs } from "../../../workspaces/prepare.ts";
import { openKept, unwrap, variablesSchema, type KeptAtHand } from "../../kept-at-hand.ts";
import type { OperationContext } from "../../operation.ts";
import { isOwnedBy, isTakeable, kindFor, ownerOf, withinQuota } from "../../owned-workspace.ts";
import { readNamedGolden, writeNamedGolden } from "./goldens.ts";
import { gitUrl } from "./git-url.ts";
import { wishesInput, wishesOf } from "./life.ts";
import { findSessionSeed, seedInput } from "./seed.ts";
import { command, defineTool, newName, timeoutSeconds } from "./shapes.ts";

const COMMANDS_MAX = 100;
const SETUP_SECONDS = 300;
const NAME_LENGTH_MAX = 54;
const SNAPSHOT_NAME = "golden" as const;
/** Where the plain name is somebody else's. */
const SUFFIXES = ["2", "3", "4", "5", "6"] as const;
const HASH_SHOWN = 6;
const LOCK_WAIT_MS = 600_000;

export const toolWorkspacePrepare = defineTool({
  name: "workspace_prepare",
  summary:
    "Make a golden workspace by set-up commands, with a snapshot to fork from, or find the one " +
    "that the same inputs made; other inputs make another, and a failing command leaves nothing",
  does: "changes",
  long: true,
  cost: () => ({ create: 1 }),
  input: z.strictObject({
    name: newName.max(NAME_LENGTH_MAX),
    git_url: gitUrl.optional().describe("Cloned into the repository folder first"),
    setup_commands: z.array(command).max(COMMANDS_MAX, `max length is ${COMMANDS_MAX}`).default([]),
    env_vars: variablesSchema.default({}).describe("Kept in the golden and given to its forks"),
    timeout_secs: timeoutSeconds(SETUP_SECONDS).describe("For each command"),
    ...wishesInput,
    ...seedInput,
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    name: z.string(),
    kind: z.string(),
    snapshot_name: z.literal(SNAPSHOT_NAME),
    snapshot_id: z.string(),
    /** Of the inputs. */
    hash: z.string(),
    /** Whether it was there, made by the same inputs. */
    reused_existing: z.boolean(),
  }),
  run: async (context, input) => {
    const kept = openKept(context);
    const provider = await kindFor(context, kept, input.kind);
    const { git_url: url, setup_commands: setup, env_vars: variables } = input;
    if (url !== undefined && input.repo !== undefined) {
      throw new Refusal("usage", "git_url: give either git_url or repo, not both");
    }
    const seed = await findSessionSeed(context, input, "mycelium/golden");
    const commands = [...(url === undefined ? [] : [`git clone -- ${quoted(url)} .`]), ...setup];
    const wishes = wishesOf(input);
    const inputs = { seed, env: kept.env, commands, variables, ...wishes };
    const golden = await goldenOf(context, { kept, provider, inputs }, input.timeout_secs);
    const named = await nameGolden(context, { kept, provider, golden, name: input.name, wishes });
    return {
      workspace_id: named.workspace,
      name: named.workspace,
      kind: provider.kind,
      snapshot_name: SNAPSHOT_NAME,
      snapshot_id: `${named.workspace}@${SNAPSHOT_NAME}`,
      hash: golden.hash,
      reused_existing: named.reused,
    };
  },
});

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

interface GoldenMeans {
  readonly kept: KeptAtHand;
  readonly provider: LastingProvider;
  readonly inputs: GoldenInputs;
}

async function goldenOf(
  { signal, onProgress }: OperationContext,
  { kept, provider, inputs }: GoldenMeans,
  timeoutSecs: number,
): Promise<Golden> {
  let done = 0;
  const total = inputs.commands.length;
  const prepared = await prepareGolden({
    provider,
    ledger: kept.ledger,
    inputs,
    commandTimeoutMs: timeoutSecs * 1000,
    signal,
    onCommand: (line) => onProgress?.(done++, total, line.slice(0, SHOWN_LENGTH_MAX)),
  });
  if (prepared.ok || prepared.failure.details["reason"] !== "setup-failed") return unwrap(prepared);
  const { code, message, details, hint } = prepared.failure;
  throw new Refusal(code, `setup command failed: ${message}`, {
    details,
    ...(hint !== null && { hint }),
  });
}

const SHOWN_LENGTH_MAX = 200;

interface Naming {
  readonly kept: KeptAtHand;
  readonly provider: LastingProvider;
  readonly golden: Golden;
  readonly name: string;
  readonly wishes: ReturnType<typeof wishesOf>;
}

interface Named {
  readonly workspace: string;
  readonly reused: boolean;
}

/** Under the name itself, or beside it where that is taken by other inputs or by somebody else. */
async function nameGolden(context: OperationContext, naming: Naming): Promise<Named> {
  const { kept, name, golden } = naming;
  const { signal } = context;
  const path = kept.ledger.lockPath(`prepare-${name}`);
  using lock = await lockFile(path, { waitMs: LOCK_WAIT_MS, signal });
  if (lock === null) throw new Refusal("workspace-failed", `${name} is prepared by another call`);
  const suffixes = [golden.hash.slice(0, HASH_SHOWN), ...SUFFIXES];
  for (const workspace of [name, ...suffixes.map((suffix) => `${name}-${suffix}`)]) {
    const found = await tryName(context, naming, workspace);
    if (found !== null) return found;
  }
  throw new Refusal("workspace-exists", `the name ${name} is taken, and so are those beside it`, {
    hint: "choose another name",
  });
}

/** `null` where the name is taken. */
async function tryName(
  context: OperationContext,
  naming: Naming,
  workspace: string,
): Promise<Named | null> {
  const { kept, golden, provider } = naming;
  const { ledger } = kept;
  const owner = ownerOf(context.session);
  const entry = ledger.find(workspace);
  const snapshot = ledger.find(`${workspace}@${SNAPSHOT_NAME}`);
  const named = readNamedGolden(context.environment.home, workspace);
  const isSame = named?.hash === golden.hash && (entry ?? snapshot)?.kind === provider.kind;
  const isOwn = entry !== null && isOwnedBy(entry.owner, context.session);
  if (entry !== null && !isOwn && !(isSame && isTakeable(kept, entry))) return null;
  if (named?.state === "ready" && isSame && snapshot?.state === "ready") {
    if (entry !== null) {
      if (!isOwn) ledger.write({ ...entry, owner, unownedSince: null });
      return { workspace, reused: true };
    }
    if (!isOwnedBy(snapshot.owner, context.session)) return null;
    unwrap(await fork(context, naming, { from: snapshot.id, to: workspace }));
    return { workspace, reused: true };
  }
  const isLeftover = isSame && named?.state === "making";
  if (!isLeftover && (entry !== null || snapshot !== null)) return null;
  if (entry !== null) await destroyKept({ provider, ledger, owner: null }, workspace);
  await make(context, naming, workspace);
  return { workspace, reused: false };
}

async function make(context: OperationContext, naming: Naming, workspace: string): Promise<void> {
  const { kept, golden, provider } = naming;
  const { ledger } = kept;
  const { home } = context.environment;
  const record = { version: 1 as const, workspace, hash: golden.hash };
  await writeNamedGolden(home, { ...record, state: "making" });
  const forked = unwrap(await fork(context, naming, { from: golden.snapshot.id, to: workspace }));
  const means = { provider, ledger, owner: ownerOf(context.session) };
  const taken = await snapshotKept(means, forked, SNAPSHOT_NAME);
  if (!taken.ok) {
    await destroyKept({ provider, ledger, owner: null }, workspace);
    unwrap(taken);
  }
  await writeNamedGolden(home, { ...record, state: "ready" });
}

async function fork(
  context: OperationContext,
  { kept, provider, wishes }: Naming,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<Result<LastingWorkspace>> {
  const means = { provider, ledger: kept.ledger, owner: ownerOf(context.session) };
  const { network, limits } = wishes;
  const requests = [{ id: to, env: kept.env, network, limits }];
  const claim = () => forkKept(means, from, requests);
  const [forked] = await withinQuota(context, kept, { adding: 1, claim });
  if (forked === undefined) throw new Error("a provider answers each request for a fork");
  return forked;
}
