import { rm } from "node:fs/promises";
import { Refusal } from "../domain/failure.ts";
import { deleteRunIn } from "../store/delete-run.ts";
import { findRun, listRuns, type RunRow } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import type { WorkspaceFinder } from "../workspaces/workspace.ts";
import { listKeptLogs, requireRealFolder } from "./clean-folders.ts";
import { findLosses, type LossSearch } from "./clean-losses.ts";
import type { CleanedRun, CleanReport } from "./clean-report.ts";
import { noSuchRun } from "../store/find-run.ts";
import { folderSize } from "./folder-size.ts";
import { openJournalFiles } from "./journal-files.ts";
import { withRepository } from "./lease-keeper.ts";
import { runFolder, workspaceFolder } from "./run-folder.ts";
import { findRunOwner } from "../store/run-owner.ts";

export interface RefRemoval {
  /** The repository's common git directory. */
  readonly repository: string;
  /** `refs/mycelium/runs/<run>`. */
  readonly prefix: string;
  /** Only name them. */
  readonly dryRun: boolean;
}

export interface CleanRequest {
  readonly store: Store;
  readonly home: string;
  /** One run; all of them where it is left out. */
  readonly runId?: string | undefined;
  /** Leaves the run's folder, brought up to date, so that its story stays. */
  readonly keepLogs: boolean;
  readonly dryRun: boolean;
  /** Removes work that did not land, too. A run that a process works on is left alone even so. */
  readonly force: boolean;
  readonly provider: WorkspaceFinder;
  /** The environment that commands in workspaces get. */
  readonly workEnv: Readonly<Record<string, string>>;
  /** Removes the refs below a prefix and names them; a repository that is gone has none. */
  readonly removeRefs: (removal: RefRemoval) => Promise<readonly string[]>;
}

/**
 * Removes what runs left: workspaces, refs, logs, rows, in this order, so that one that was
 * interrupted can be repeated. Never takes what was recorded nowhere else, unless it is forced.
 *
 * A run that is named and cannot be removed is a refusal; among all runs it is only left out.
 */
export async function cleanRuns(request: CleanRequest): Promise<CleanReport> {
  const targets = await findTargets(request);
  const report: CleanReport = { dry_run: request.dryRun, runs: [], refused: [], bytes: 0 };
  for (const target of targets) {
    const answer = await whileNobodyResumes(request, target, () => cleanRun(request, target));
    if (answer.kind === "removed") {
      report.runs.push(answer.run);
      report.bytes += bytesOf(answer.run);
    } else {
      const { reasons, hint } = answer;
      if (request.runId !== undefined && !request.dryRun) throw refusal(target, answer);
      report.refused.push({ run_id: target.id, reasons: [...reasons], hint });
    }
  }
  return report;
}

interface Target {
  readonly id: string;
  /** `null` where only its logs were kept. */
  readonly row: RunRow | null;
}

type Answer =
  | { readonly kind: "removed"; readonly run: CleanedRun }
  | {
      readonly kind: "refused";
      readonly code: "repository-busy" | "confirmation-needed";
      readonly reasons: readonly string[];
      readonly hint: string;
    };

const RUNS_MAX = 100_000;

async function findTargets(request: CleanRequest): Promise<readonly Target[]> {
  const { store, home, runId } = request;
  const kept = await listKeptLogs(home);
  if (runId === undefined) {
    const rows = await listRuns(store.tables, RUNS_MAX);
    const known = new Set(rows.map(({ id }) => id));
    const orphans = request.keepLogs ? [] : kept.filter((id) => !known.has(id));
    return [
      ...rows.map((row) => ({ id: row.id, row })),
      ...orphans.map((id) => ({ id, row: null })),
    ];
  }
  runFolder(home, runId);
  const row = (await findRun(store.tables, runId)) ?? null;
  if (row === null && !kept.includes(runId)) throw noSuchRun(runId);
  return [{ id: runId, row }];
}

async function cleanRun(request: CleanRequest, target: Target): Promise<Answer> {
  const busy = await refuseLive(request, target);
  if (busy !== null) return busy;
  const workspaces = await listWorkspaces(request, target);
  const search: LossSearch = { ...request, runId: target.id, workspaces };
  const losses = target.row === null ? [] : await findLosses(search);
  if (losses.length > 0 && !request.force) {
    const hint = "`mycelium resume` takes it further; --force removes it all the same";
    return { kind: "refused", code: "confirmation-needed", reasons: losses, hint };
  }
  const sized: CleanedRun["workspaces"] = [];
  for (const id of workspaces) {
    sized.push({ id, bytes: await folderSize(workspaceFolder(request.home, id)) });
  }
  if (!request.dryRun) for (const id of workspaces) await request.provider.remove(id);
  const refs = await removeRefs(request, target);
  const logs = await removeLogs(request, target);
  if (!request.dryRun && target.row !== null) {
    await request.store.record((change) => deleteRunIn(change, target.id));
  }
  const status = target.row?.status ?? null;
  const run = { run_id: target.id, status, workspaces: sized, refs, logs, losses: [...losses] };
  return { kind: "removed", run };
}

async function refuseLive({ store }: CleanRequest, target: Target): Promise<Answer | null> {
  const owner = target.row === null ? null : await findRunOwner(store, target.row);
  if (owner === null) return null;
  return {
    kind: "refused",
    code: "repository-busy",
    reasons: [`process ${owner.pid} on ${owner.host} works on it`],
    hint: `stop it first, with Ctrl-C or \`kill ${owner.pid}\``,
  };
}

/** Run ids hold no dot, so that no run's workspaces begin with another run's name. */
async function listWorkspaces(
  { provider }: CleanRequest,
  target: Target,
): Promise<readonly string[]> {
  const all = await provider.list();
  return all.filter((id) => id.startsWith(`${target.id}.`)).toSorted();
}

async function removeRefs(request: CleanRequest, { id, row }: Target): Promise<string[]> {
  if (row === null) return [];
  const prefix = `refs/mycelium/runs/${id}`;
  const { repository } = row;
  return [...(await request.removeRefs({ repository, prefix, dryRun: request.dryRun }))];
}

async function removeLogs(request: CleanRequest, { id, row }: Target): Promise<CleanedRun["logs"]> {
  const { home, store } = request;
  const path = runFolder(home, id);
  if (request.keepLogs) {
    if (!request.dryRun && row !== null) await completeLogs({ store, home, runId: id });
    return null;
  }
  const bytes = await folderSize(path);
  if (!request.dryRun) {
    await requireRealFolder(home);
    await rm(path, { recursive: true, force: true });
  }
  return { path, bytes };
}

/** What stays must be whole: the rows that it was copied from are about to go. */
async function completeLogs(logs: Parameters<typeof openJournalFiles>[0]): Promise<void> {
  let trouble: unknown = null;
  const onTrouble = (error: unknown): void => {
    trouble = error;
  };
  await (await openJournalFiles({ ...logs, onTrouble })).close();
  if (trouble !== null) throw trouble;
}

/**
 * Holds the repository while its run is removed, so that nobody resumes it meanwhile. Where another
 * run has the repository, that one keeps others away already.
 */
async function whileNobodyResumes(
  { store, dryRun }: CleanRequest,
  { id, row }: Target,
  work: () => Promise<Answer>,
): Promise<Answer> {
  if (row === null || dryRun) return work();
  let hasBegun = false;
  try {
    return await withRepository(store, row.repository, `clean of run ${id}`, () => {
      hasBegun = true;
      return work();
    });
  } catch (error) {
    const isBusy = error instanceof Refusal && error.failure.code === "repository-busy";
    if (hasBegun || !isBusy) throw error;
    return work();
  }
}

function refusal(target: Target, answer: Extract<Answer, { kind: "refused" }>): Refusal {
  const { code, reasons, hint } = answer;
  const message =
    code === "repository-busy"
      ? `run ${target.id} is being worked on: ${reasons.join("; ")}`
      : `with run ${target.id} this would be lost:\n${reasons.map((reason) => `  ${reason}`).join("\n")}`;
  return new Refusal(code, message, { hint, details: { run_id: target.id, reasons } });
}

function bytesOf({ workspaces, logs }: CleanedRun): number {
  return workspaces.reduce((sum, { bytes }) => sum + bytes, logs?.bytes ?? 0);
}
