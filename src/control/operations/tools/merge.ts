import { join } from "node:path";
import { z } from "zod";
import { Refusal } from "../../../domain/failure.ts";
import { MERGE_STRATEGIES } from "../../../merging/merge-report.ts";
import { mergeWorkspaces } from "../../../merging/merge-workspaces.ts";
import { unwrap } from "../../kept-at-hand.ts";
import { ownedWorkspace } from "../../owned-workspace.ts";
import { defineTool, path, workspaceId } from "./shapes.ts";

const SOURCES_MAX = 20;
const MESSAGE_LENGTH_MAX = 100_000;

const conflictSchema = z.looseObject({ path: z.string(), kind: z.string() });

const sourceSchema = z.strictObject({
  workspace_id: z.string(),
  status: z.enum(["merged", "nothing", "conflict", "failed"]),
  commits_applied: z.int(),
  conflicts: z.array(conflictSchema),
  message: z.string().nullable(),
  /** Changed files in it that are not committed, so not merged. */
  uncommitted: z.array(z.string()),
  branch: z.string().nullable(),
});

export const toolWorkspaceMerge = defineTool({
  name: "workspace_merge",
  summary: "Merge the commits of workspaces into another's branch, all of it or nothing",
  does: "changes",
  long: true,
  cost: ({ source_workspaces: sources }) => ({ exec: sources.length + 1 }),
  input: z.strictObject({
    source_workspaces: z
      .array(workspaceId)
      .min(1, "must not be empty")
      .max(SOURCES_MAX, `max length is ${SOURCES_MAX}`)
      .refine((ids) => new Set(ids).size === ids.length, "must not name one twice"),
    target_workspace: workspaceId,
    strategy: z.enum(MERGE_STRATEGIES).default("sequential"),
    path: path.optional().describe("Of the repository in each; the workspaces' own by default"),
    commit_message: z.string().min(1).max(MESSAGE_LENGTH_MAX).optional(),
    allow_partial: z
      .boolean()
      .default(false)
      .describe("Take what does not conflict; otherwise a conflict leaves the target as it is"),
    dry_run: z.boolean().default(false),
  }),
  output: z.strictObject({
    success: z.boolean(),
    outcome: z.enum(["landed", "nothing", "conflicts", "refused", "dry-run"]),
    strategy: z.enum(MERGE_STRATEGIES),
    target_workspace: z.string(),
    before: z.string(),
    after: z.string().nullable(),
    total_commits_applied: z.int(),
    merged_sources: z.array(z.string()),
    conflicts: z.array(conflictSchema.extend({ workspace_id: z.string() })),
    sources: z.array(sourceSchema),
    message: z.string().nullable(),
  }),
  run: async (context, input) => {
    const { source_workspaces: ids, target_workspace: targetId, path: folder } = input;
    if (ids.includes(targetId)) {
      throw new Refusal("usage", "target_workspace: cannot be one of the sources");
    }
    const target = await ownedWorkspace(context, targetId);
    const sources = await Promise.all(ids.map((id) => ownedWorkspace(context, id)));
    const { environment, clock } = context;
    const merged = await mergeWorkspaces({
      target: { workspace: target.workspace, path: folder },
      sources: sources.map(({ workspace }) => ({
        name: workspace.id,
        place: { workspace, path: folder },
      })),
      strategy: input.strategy,
      message: input.commit_message,
      allowPartial: input.allow_partial,
      dryRun: input.dry_run,
      means: {
        folder: join(environment.home, "merging"),
        env: { PATH: environment.path, HOME: environment.userHome },
        clock,
      },
    });
    const report = unwrap(merged);
    const { outcome, strategy, before, after, commits, message } = report;
    const isTaken = outcome === "landed" || outcome === "nothing";
    return {
      success: isTaken && report.sources.every(({ conflicts }) => conflicts.length === 0),
      outcome,
      strategy,
      target_workspace: targetId,
      before,
      after,
      total_commits_applied: isTaken ? commits : 0,
      merged_sources: report.sources.flatMap(({ name, status }) =>
        isTaken && status === "merged" ? [name] : [],
      ),
      conflicts: report.sources.flatMap(({ name, conflicts }) =>
        conflicts.map((conflict) => ({ ...conflict, workspace_id: name })),
      ),
      sources: report.sources.map((source) => ({
        workspace_id: source.name,
        status: source.status,
        commits_applied: source.commits,
        conflicts: source.conflicts.map((conflict) => ({ ...conflict })),
        message: source.message,
        uncommitted: [...source.uncommitted],
        branch: source.branch,
      })),
      message,
    };
  },
});
