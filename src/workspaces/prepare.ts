import { createHash } from "node:crypto";
import type { Result } from "../domain/failure.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { lockFile } from "../lib/file-lock.ts";
import { self, type KeptLedger } from "./kept-ledger.ts";
import { createKept, deleteKeptSnapshot, destroyKept, snapshotKept } from "./kept-workspaces.ts";
import type { LastingProvider, LastingRequest, Snapshot } from "./lasting-workspace.ts";
import type { Workspace } from "./workspace.ts";
import { workspaceFailure } from "./workspace-failure.ts";
import { snapshotId } from "./workspace-name.ts";

export interface GoldenInputs extends Omit<LastingRequest, "id"> {
  /** Command lines for `/bin/sh -c` in the repository, one after the other. */
  readonly commands: readonly string[];
  /** Kept in the golden and given to its forks. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface PrepareRequest {
  readonly provider: LastingProvider;
  readonly ledger: KeptLedger;
  readonly inputs: GoldenInputs;
  /** For each command. */
  readonly commandTimeoutMs: number;
  readonly signal: AbortSignal;
  /** Told of each command before it runs. */
  readonly onCommand?: (command: string) => void;
}

export interface Golden {
  readonly snapshot: Snapshot;
  /** Of the inputs, in hexadecimal. */
  readonly hash: string;
  /** Whether it was there already. */
  readonly reused: boolean;
}

const HASH_LENGTH = 16;
const SNAPSHOT_NAME = "ready";
const OUTPUT_BYTES_MAX = 4_096;
/** On top of what the commands may take. */
const WAIT_MARGIN_MS = 600_000;

/**
 * The snapshot that these commands make of this seed: the one that there is, or a new one. Whoever
 * asks for the same at the same time waits for it. A command that fails leaves nothing behind.
 */
export async function prepareGolden(request: PrepareRequest): Promise<Result<Golden>> {
  const { provider, ledger, inputs, signal } = request;
  const hash = hashOf(provider, inputs);
  const id = `golden-${hash}`;
  const there = await findGolden(provider, id);
  if (there !== null) return { ok: true, value: { snapshot: there, hash, reused: true } };

  const waitMs = inputs.commands.length * request.commandTimeoutMs + WAIT_MARGIN_MS;
  using lock = await lockFile(ledger.lockPath(id), { waitMs, signal });
  if (signal.aborted) return workspaceFailure("preparing was interrupted");
  if (lock === null) return workspaceFailure("another process prepares the same, for too long");
  const made = await findGolden(provider, id);
  if (made !== null) return { ok: true, value: { snapshot: made, hash, reused: true } };
  const snapshot = await makeGolden(request, id);
  return snapshot.ok
    ? { ok: true, value: { snapshot: snapshot.value, hash, reused: false } }
    : snapshot;
}

/** Everything that a golden depends on, and nothing else. */
function hashOf({ kind }: LastingProvider, inputs: GoldenInputs): string {
  const { seed, image = null, network = "allow", limits = {}, commands, variables } = inputs;
  const from = seed === null ? null : [seed.objectFormat, seed.commit, seed.branch];
  const given = (values: object): readonly (readonly [string, unknown])[] =>
    Object.entries(values)
      .filter(([, value]) => value !== undefined)
      .toSorted(([one], [other]) => (one < other ? -1 : 1));
  const all = [1, kind, image, from, network, given(limits), commands, given(variables)];
  return createHash("sha256").update(JSON.stringify(all)).digest("hex").slice(0, HASH_LENGTH);
}

async function findGolden(provider: LastingProvider, id: string): Promise<Snapshot | null> {
  const wanted = snapshotId(id, SNAPSHOT_NAME);
  const snapshots = await provider.listSnapshots();
  return snapshots.find((snapshot) => snapshot.id === wanted) ?? null;
}

/** With the lock held: whatever has the name is a killed maker's. */
async function makeGolden(request: PrepareRequest, id: string): Promise<Result<Snapshot>> {
  const { provider, ledger, inputs } = request;
  const means = { provider, ledger, owner: self() };
  await removeAll(request, id);
  const created = await createKept(means, { ...inputs, id });
  if (!created.ok) return created;
  const workspace = created.value;
  // Only its snapshot is ever done: what is left of it by a kill is nobody's work.
  const entry = ledger.find(id);
  if (entry !== null) ledger.write({ ...entry, state: "making" });
  try {
    const set = await workspace.setEnv(inputs.variables);
    if (!set.ok) return set;
    const ran = await runCommands(request, workspace);
    if (!ran.ok) return ran;
    const snapshot = await snapshotKept({ provider, ledger }, workspace, SNAPSHOT_NAME);
    crashPoint("golden.made");
    // The workspace itself stands on it, for one moment more.
    return snapshot.ok ? { ok: true, value: { ...snapshot.value, references: 0 } } : snapshot;
  } finally {
    await destroyKept(means, id);
  }
}

async function removeAll({ provider, ledger }: PrepareRequest, id: string): Promise<void> {
  const snapshot = snapshotId(id, SNAPSHOT_NAME);
  await destroyKept({ provider, ledger, owner: null }, id);
  if (ledger.find(snapshot) === null) return;
  await deleteKeptSnapshot({ provider, ledger }, snapshot);
  ledger.forget(snapshot);
}

async function runCommands(
  { inputs, commandTimeoutMs: timeoutMs, signal, onCommand }: PrepareRequest,
  workspace: Workspace,
): Promise<Result<void>> {
  for (const [index, command] of inputs.commands.entries()) {
    onCommand?.(command);
    const result = await workspace.exec({
      command,
      timeoutMs,
      signal,
      outputBytesMax: OUTPUT_BYTES_MAX,
    });
    const { ending } = result;
    if (ending.kind === "exited" && ending.code === 0) continue;
    const [stdout, stderr] = [result.stdout.text, result.stderr.text];
    const said = (stderr.trim() || stdout.trim()).split("\n").at(-1) ?? "";
    const how = ending.kind === "exited" ? `exit code ${ending.code}` : ending.kind;
    return workspaceFailure(`the set-up command \`${command}\` failed: ${how}: ${said}`, {
      hint: "nothing was kept; correct the command and prepare again",
      details: { reason: "setup-failed", index, command, ending, stdout, stderr },
    });
  }
  return { ok: true, value: undefined };
}
