import { Refusal } from "../domain/failure.ts";
import { planBatches } from "../domain/schedule.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { checkTasks } from "../planning/check-tasks.ts";
import { readTaskFolders, type TaskFolder } from "../planning/task-folders.ts";
import { findRun, insertRun, type RunRow } from "../store/runs.ts";
import type { Change } from "../store/store.ts";
import { insertTasks } from "../store/tasks.ts";
import { schedulableOf } from "./board.ts";
import { conductRun, type RunEnding, type RunParts } from "./conduct.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { findLandedBefore, type LandedBefore } from "./landed-before.ts";
import { withRepository } from "./lease-keeper.ts";
import { findDirtyCheckout, requireBranch } from "./require-branch.ts";
import { skipLandedIn } from "./skip-landed.ts";

export interface RunRequest {
  /** Ids of the tasks to run; all of them where it is left out. */
  readonly tasks?: readonly string[] | undefined;
  readonly runId?: string | undefined;
  readonly maxParallel?: number | undefined;
  readonly agent: string;
}

/** Starts a run of planned tasks and conducts it to its end. */
export async function startRun(parts: RunParts, request: RunRequest): Promise<RunEnding> {
  const folders = await selectTasks(parts, request);
  parts.agents(request.agent);
  for (const { manifest } of folders)
    if (manifest.agent !== undefined) parts.agents(manifest.agent);
  refuseOtherKinds(folders, parts.provider.kind);
  const runId = request.runId ?? newRunId(parts.store.clock.now());
  await refuseTakenId(parts, runId);
  const { config, repository, store } = parts;
  return withRepository(store, repository.gitDir, `run ${runId}`, async (lease) => {
    const base = await requireBranch(repository, config.main_branch);
    const dirty = await findDirtyCheckout(repository, config.main_branch);
    if (dirty !== null) throw dirty;
    const tasks = folders.map((folder) => ({ ...folder, fingerprint: fingerprintOf(folder) }));
    const fingerprints = tasks.map(({ fingerprint }) => fingerprint);
    const before = await findLandedBefore({ store, repository, tip: base, fingerprints });
    const run = await recordRun(parts, { runId, base, tasks, before, request });
    crashPoint("run.recorded");
    return conductRun(parts, run, lease, async () => undefined);
  });
}

/** The batches that the tasks would run in. Changes nothing, anywhere. */
export async function dryRun(
  parts: Pick<RunParts, "config">,
  request: Pick<RunRequest, "tasks" | "maxParallel">,
): Promise<readonly (readonly { id: string; name: string }[])[]> {
  const folders = await selectTasks(parts, request);
  const names = new Map(folders.map(({ manifest }) => [manifest.id, manifest.name]));
  const width = request.maxParallel ?? parts.config.max_parallel;
  return planBatches(
    folders.map(({ manifest }) => schedulableOf(manifest)),
    width,
  ).map((batch) => batch.map(({ id }) => ({ id, name: names.get(id) ?? id })));
}

async function selectTasks(
  { config }: Pick<RunParts, "config">,
  request: Pick<RunRequest, "tasks">,
): Promise<readonly TaskFolder[]> {
  const folders = await readTaskFolders(config.tasks_dir);
  if (folders.length === 0) {
    throw new Refusal("tasks-missing", `there are no tasks in ${config.tasks_dir}`, {
      hint: "write a plan, then `mycelium plan --input PLAN.md`",
    });
  }
  const problems = checkTasks(folders, { resources: config.resources });
  const [first] = problems;
  if (first !== undefined) {
    throw new Refusal("plan-invalid", `${first.path}: ${first.problem}`, {
      ...(first.hint !== null && { hint: first.hint }),
      details: { problems },
    });
  }
  return request.tasks === undefined ? folders : pick(folders, request.tasks);
}

function pick(folders: readonly TaskFolder[], ids: readonly string[]): readonly TaskFolder[] {
  const chosen = new Set(ids);
  const known = new Set(folders.map(({ manifest }) => manifest.id));
  const unknown = ids.filter((id) => !known.has(id));
  if (unknown.length > 0) {
    throw new Refusal("task-invalid", `no such task: ${unknown.join(", ")}`, {
      hint: `known are ${[...known].join(", ")}`,
    });
  }
  const selected = folders.filter(({ manifest }) => chosen.has(manifest.id));
  for (const { manifest } of selected) {
    const missing = manifest.dependencies.filter((id) => !chosen.has(id));
    if (missing.length === 0) continue;
    throw new Refusal("task-invalid", `${manifest.id} needs ${missing.join(", ")}, not selected`, {
      hint: `add ${missing.join(",")} to --tasks`,
    });
  }
  return selected;
}

/** One run works in one kind of workspace; a task that asks for another would get less than it asked. */
function refuseOtherKinds(folders: readonly TaskFolder[], kind: string): void {
  for (const { manifest } of folders) {
    if (manifest.workspace === undefined || manifest.workspace === kind) continue;
    throw new Refusal(
      "workspace-unavailable",
      `${manifest.id} asks for a ${manifest.workspace} workspace; this run has ${kind} ones`,
      { hint: `run it apart with --tasks ${manifest.id} --workspace ${manifest.workspace}` },
    );
  }
}

async function refuseTakenId(parts: RunParts, runId: string): Promise<void> {
  if (!/^[A-Za-z0-9](?:[A-Za-z0-9_-]){0,63}$/.test(runId)) {
    throw new Refusal("usage", `${JSON.stringify(runId)} is no run id`, {
      hint: "use 1 to 64 letters, digits, '-' and '_'",
    });
  }
  if ((await findRun(parts.store.tables, runId)) === undefined) return;
  throw new Refusal("run-exists", `there is a run ${runId} already`, {
    hint: `\`mycelium resume ${runId}\` goes on with it; leave --run-id out for a new one`,
  });
}

/** Sorts by time; the random part keeps two of the same second apart. */
function newRunId(nowMs: number): string {
  const stamp = new Date(nowMs)
    .toISOString()
    .slice(0, 19)
    .replaceAll(/[-:]/g, "")
    .replace("T", "-");
  return `${stamp}-${crypto.randomUUID().slice(0, 4)}`;
}

interface NewRun {
  readonly runId: string;
  readonly base: string;
  readonly tasks: readonly (TaskFolder & { readonly fingerprint: string })[];
  readonly before: ReadonlyMap<string, LandedBefore>;
  readonly request: RunRequest;
}

async function recordRun(parts: RunParts, run: NewRun): Promise<RunRow> {
  const { runId, base, tasks, request } = run;
  const { config, repository, store, provider } = parts;
  const width = request.maxParallel ?? config.max_parallel;
  return store.record(async (change) => {
    await insertRun(change, {
      id: runId,
      repository: repository.gitDir,
      config_path: config.file,
      branch: config.main_branch,
      base_commit: base,
      agent: request.agent,
      workspace_kind: provider.kind,
      max_parallel: width,
    });
    const rows = tasks.map(({ path, manifest, spec, fingerprint }, ordinal) => ({
      run_id: runId,
      task_id: manifest.id,
      ordinal,
      name: manifest.name,
      folder: path,
      manifest: JSON.stringify(manifest),
      spec,
      fingerprint,
    }));
    await insertTasks(change, rows);
    await change.event(runId, {
      type: "run.started",
      payload: {
        repository: repository.gitDir,
        branch: config.main_branch,
        base,
        agent: request.agent,
        workspace: provider.kind,
        max_parallel: width,
        tasks: rows.map(({ task_id }) => task_id),
      },
    });
    await skipLanded(change, run);
    return change.tables
      .selectFrom("runs")
      .selectAll()
      .where("id", "=", runId)
      .executeTakeFirstOrThrow();
  });
}

async function skipLanded(change: Change, { runId, tasks, before }: NewRun): Promise<void> {
  for (const { manifest, fingerprint } of tasks) {
    const landed = before.get(fingerprint);
    if (landed === undefined) continue;
    await skipLandedIn(change, { runId, taskId: manifest.id }, landed);
  }
}
