import { join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { crashPoint } from "../lib/crash-point.ts";
import { mapLimited } from "../lib/map-limited.ts";
import { advance, askPosition, bringOut, dirtyMessage } from "./ask-workspace.ts";
import type { Place, Position } from "./ask-workspace.ts";
import { withMergeRoom, type MergeMeans } from "./merge-room.ts";
import type { MergeReport, MergeStrategy, SourceReport } from "./merge-report.ts";
import { areRelated, commitsOf, replay, takeWhole, unrelated } from "./replay.ts";
import type { MergeRoom, Taken } from "./replay.ts";

export interface MergeSource {
  /** For reports and branches; each once. */
  readonly name: string;
  readonly place: Place;
}

export interface MergeRequest {
  readonly sources: readonly MergeSource[];
  readonly target: Place;
  readonly strategy: MergeStrategy;
  /** Of merge commits, and where a source becomes one commit. */
  readonly message?: string | undefined;
  /** Land what does not conflict; otherwise a conflict leaves the target as it is. */
  readonly allowPartial: boolean;
  readonly dryRun: boolean;
  readonly means: MergeMeans;
  /** Told before the target is touched, as if it had taken everything already. */
  readonly onIntent?: (report: MergeReport & { readonly after: string }) => Promise<void>;
}

const TRIES = 3;
const SOURCES_AT_ONCE = 4;
const TARGET_REF = "refs/mycelium/target";
const RESULT_REF = "refs/heads/result";

/**
 * Merges the commits of workspaces into another one's branch. Nothing of any workspace is run on the
 * host: commits come and go as bundles, and the merge is computed in a repository of Mycelium's own.
 * The target takes all of the result or nothing. Fails where it cannot be merged into at all.
 */
export async function mergeWorkspaces(request: MergeRequest): Promise<Result<MergeReport>> {
  for (let tries = 1; ; tries += 1) {
    const position = await askPosition(request.target);
    if (!position.ok) return position;
    const { dirty } = position.value;
    if (dirty.length > 0) {
      const message = dirtyMessage(request.target.workspace.id, dirty);
      const hint = "commit or discard them in the target, then merge again";
      return { ok: false, failure: { code: "merge-refused", message, details: { dirty }, hint } };
    }
    const merged = await withMergeRoom(request.means, position.value.objectFormat, (room) =>
      mergeIn({ ...room, bytesMax: request.means.bytesMax }, request, position.value),
    );
    if (!merged.ok || merged.value !== "moved") return merged as Result<MergeReport>;
    if (tries === TRIES) {
      const message = "others commit to the target faster than can be merged into it";
      return { ok: false, failure: { code: "merge-failed", message, details: {}, hint: null } };
    }
  }
}

type Room = MergeRoom & { readonly folder: string; readonly bytesMax: number };

async function mergeIn(
  room: Room,
  request: MergeRequest,
  target: Position,
): Promise<Result<MergeReport | "moved">> {
  const base = await bringIn(room, request.target, {
    position: target,
    known: null,
    ref: TARGET_REF,
  });
  if (!base.ok) return base;
  await room.repository.setRefs([{ ref: "refs/heads/target", id: target.head }]);
  const sources = await mapLimited(
    [...request.sources.entries()],
    SOURCES_AT_ONCE,
    ([at, source]) => bringSource(room, source, { at, target }),
  );
  const computed = await compute(room, request, { target, sources });
  return land(room, request, { target, ...computed });
}

interface Source {
  readonly name: string;
  readonly head: string;
  readonly uncommitted: readonly string[];
  /** Why it is not there. */
  readonly problem: string | null;
}

async function bringSource(
  room: Room,
  { name, place }: MergeSource,
  { at, target }: { readonly at: number; readonly target: Position },
): Promise<Source> {
  const asked = await askPosition(place);
  if (!asked.ok) return { name, head: "", uncommitted: [], problem: asked.failure.message };
  const { head, dirty: uncommitted, objectFormat } = asked.value;
  const own = { name, head, uncommitted };
  if (objectFormat !== target.objectFormat) {
    return {
      ...own,
      problem: `its objects are ${objectFormat}, the target's ${target.objectFormat}`,
    };
  }
  const ref = `refs/mycelium/sources/${at}`;
  const brought = await bringIn(room, place, { position: asked.value, known: target.head, ref });
  return { ...own, problem: brought.ok ? null : brought.failure.message };
}

interface BringIn {
  readonly position: Position;
  readonly known: string | null;
  readonly ref: string;
}

async function bringIn(
  { repository, folder, bytesMax }: Room,
  place: Place,
  { position: { head }, known, ref }: BringIn,
): Promise<Result<void>> {
  const bundle = await bringOut(place, { folder, head, known, bytesMax });
  if (!bundle.ok || bundle.value === null)
    return bundle.ok ? { ok: true, value: undefined } : bundle;
  return repository.importBundle({ bundle: bundle.value, ref, head, base: head, bytesMax });
}

interface Computed {
  readonly tip: string;
  readonly reports: readonly SourceReport[];
}

async function compute(
  room: Room,
  request: MergeRequest,
  { target, sources }: { readonly target: Position; readonly sources: readonly Source[] },
): Promise<Computed> {
  let tip = target.head;
  const known = [target.head];
  const changedBy = new Map<string, string[]>();
  const reports: SourceReport[] = [];
  for (const source of sources) {
    const { name, head, uncommitted, problem } = source;
    const report = {
      name,
      head,
      uncommitted,
      commits: 0,
      conflicts: [],
      message: problem,
      branch: null,
    };
    if (problem !== null) {
      reports.push({ ...report, status: "failed" });
      continue;
    }
    const commits = await commitsOf(room, head, known);
    if (commits.length === 0) {
      reports.push({ ...report, status: "nothing" });
      continue;
    }
    const taken = await take(room, request, { tip, source, commits });
    const isWhole = taken.conflicts.length === 0;
    const keeps = isWhole || (request.allowPartial && request.strategy === "cherry-pick");
    const conflicts = taken.conflicts.map((conflict) => ({
      ...conflict,
      against: changedBy.get(conflict.path) ?? [],
    }));
    const branch = isWhole && request.strategy === "branch-per-source" ? branchName(source) : null;
    const status = isWhole ? "merged" : "conflict";
    reports.push({ ...report, status, commits: keeps ? taken.commits : 0, conflicts, branch });
    if (!keeps) continue;
    await noteChanges(room, changedBy, { name, before: tip, after: taken.tip });
    tip = taken.tip;
    if (isWhole) known.push(head);
  }
  return { tip, reports };
}

async function take(
  room: Room,
  { strategy, message }: MergeRequest,
  on: {
    readonly tip: string;
    readonly source: Source;
    readonly commits: Awaited<ReturnType<typeof commitsOf>>;
  },
): Promise<Taken> {
  const { tip, source, commits } = on;
  const { name, head } = source;
  if (!(await areRelated(room, tip, head))) return { tip, commits: 0, conflicts: [unrelated()] };
  if (strategy === "branch-per-source") {
    const text = message ?? `Merge ${name}\n`;
    return takeWhole(room, { tip, head, commits, message: text, asMerge: true });
  }
  const replayed = await replay(room, tip, commits);
  if (strategy === "cherry-pick" || replayed.conflicts.length === 0) return replayed;
  // What conflicts on the way may not conflict as a whole.
  const text = message ?? commits.map((commit) => commit.message.trimEnd()).join("\n\n");
  return takeWhole(room, { tip, head, commits, message: text, asMerge: false });
}

async function noteChanges(
  { repository }: Room,
  changedBy: Map<string, string[]>,
  {
    name,
    before,
    after,
  }: { readonly name: string; readonly before: string; readonly after: string },
): Promise<void> {
  if (before === after) return;
  for (const { path } of await repository.listChanges(before, after)) {
    changedBy.set(path, [...(changedBy.get(path) ?? []), name]);
  }
}

/** The head is in it, so that no branch of an earlier merge is ever moved. */
function branchName({ name, head }: Source): string {
  const plain = name.replaceAll(/[^A-Za-z0-9_-]/g, "-").slice(0, 100);
  return `merge/${plain}-${head.slice(0, 12)}`;
}

async function land(
  room: Room,
  request: MergeRequest,
  { target, tip, reports }: Computed & { readonly target: Position },
): Promise<Result<MergeReport | "moved">> {
  const { strategy, dryRun, allowPartial } = request;
  const { id } = request.target.workspace;
  const isWhole = reports.every(({ status }) => status === "merged" || status === "nothing");
  const commits = reports.reduce((sum, { commits }) => sum + commits, 0);
  const report = { strategy, target: id, before: target.head, commits, sources: reports };
  const none = { ...report, after: null, message: null, commits: 0 };
  const answer = (value: MergeReport): Result<MergeReport> => ({ ok: true, value });
  if (!isWhole && !allowPartial) {
    const message = "nothing was merged: the target stands where it stood";
    return answer({ ...none, outcome: dryRun ? "dry-run" : "conflicts", message });
  }
  if (tip === target.head) {
    return answer({ ...none, outcome: isWhole ? "nothing" : "conflicts" });
  }
  const made = { ...report, after: tip, message: null };
  if (dryRun) return answer({ ...made, outcome: "dry-run" });
  const branches = reports.flatMap(({ branch: name, head: commit }) =>
    name === null ? [] : { name, commit },
  );
  await request.onIntent?.({ ...made, outcome: "landed" });
  crashPoint("merge.intended");
  const bundle = await bundleResult(room, { before: target.head, after: tip });
  const advanced = await advance(request.target, {
    bundle,
    before: target.head,
    after: tip,
    branches,
  });
  switch (advanced.kind) {
    case "advanced":
      crashPoint("merge.landed");
      return answer({ ...made, outcome: "landed" });
    case "moved":
      return { ok: true, value: "moved" };
    case "refused":
      return answer({ ...none, outcome: "refused", message: advanced.message });
    case "failed":
      return { ok: false, failure: advanced.failure };
  }
}

async function bundleResult(
  { repository, git, folder }: Room,
  { before, after }: { readonly before: string; readonly after: string },
): Promise<string> {
  await repository.setRefs([{ ref: RESULT_REF, id: after }]);
  const bundle = join(folder, "result.bundle");
  await git.run(["bundle", "create", "-q", bundle, RESULT_REF, `^${before}`]);
  return bundle;
}
