import { z } from "zod";
import { Refusal } from "../../domain/failure.ts";
import { mergeWorkspaces } from "../../merging/merge-workspaces.ts";
import { MERGE_STRATEGIES } from "../../merging/merge-report.ts";
import { listSwarms, swarmTasks } from "../../store/swarms.ts";
import { SWARM_LIMITS } from "../../swarm/limits.ts";
import {
  reportSwarm,
  shownMerge,
  shownMergeSchema,
  shownSwarmSchema,
} from "../../swarm/swarm-report.ts";
import { swarmRequestSchema } from "../../swarm/swarm-request.ts";
import { cancelSwarm, resumeSwarm, retrySwarm, runSwarm } from "../../swarm/swarms.ts";
import { findTarget } from "../../swarm/preflight.ts";
import { unwrap } from "../kept-at-hand.ts";
import { defineOperation } from "../operation.ts";
import { isOwnSwarm, mergeMeansOf, refuseForeignSwarm, withSwarmMeans } from "../swarm-at-hand.ts";

export type { ShownMerge, ShownSwarm } from "../../swarm/swarm-report.ts";

const bySwarm = z.strictObject({ swarm_id: z.string().min(1).max(100) });

export const runSwarmTasks = defineOperation({
  name: "swarm.run",
  summary: "Fork a golden for each task, run them side by side and merge what succeeded",
  tool: { name: "swarm_run", readOnly: false, destructive: false, long: true },
  input: swarmRequestSchema,
  output: shownSwarmSchema,
  run: (context, input) =>
    withSwarmMeans(context, (means) => runSwarm(means, input, context.session)),
});

export const swarmStatus = defineOperation({
  name: "swarm.status",
  summary: "Show how far a swarm is, with its tasks' output",
  tool: { name: "swarm_status", readOnly: true, destructive: false, long: false },
  input: bySwarm,
  output: shownSwarmSchema,
  run: (context, { swarm_id: id }) =>
    withSwarmMeans(context, async (means) => {
      await refuseForeignSwarm(means, context, id);
      return reportSwarm(means, id);
    }),
});

export const listSwarmRuns = defineOperation({
  name: "swarm.list",
  summary: "List swarms, the newest first",
  tool: { name: "swarm_list", readOnly: true, destructive: false, long: false },
  input: z.strictObject({ limit: z.int().min(1).max(SWARM_LIMITS.listed).default(20) }),
  output: z.strictObject({
    swarms: z.array(
      z.strictObject({
        swarm_id: z.string(),
        state: z.string(),
        started_at: z.string(),
        ended_at: z.string().nullable(),
        tasks: z.int(),
        succeeded: z.int(),
      }),
    ),
  }),
  run: (context, { limit }) =>
    withSwarmMeans(context, async ({ store }) => {
      const rows = await listSwarms(store, SWARM_LIMITS.listed);
      const own = rows.filter(({ owner }) => isOwnSwarm(owner, context.session)).slice(0, limit);
      const swarms = own.map(async ({ id, state, started_at, ended_at }) => {
        const tasks = await swarmTasks(store, id);
        const succeeded = tasks.filter((task) => task.state === "succeeded").length;
        return { swarm_id: id, state, started_at, ended_at, tasks: tasks.length, succeeded };
      });
      return { swarms: await Promise.all(swarms) };
    }),
});

export const cancelSwarmRun = defineOperation({
  name: "swarm.cancel",
  summary: "End a swarm: nothing is merged, and the work that there is is saved",
  tool: { name: "swarm_cancel", readOnly: false, destructive: true, long: false },
  input: bySwarm,
  output: shownSwarmSchema,
  run: (context, { swarm_id: id }) =>
    withSwarmMeans(context, async (means) => {
      await refuseForeignSwarm(means, context, id);
      return cancelSwarm(means, id);
    }),
});

export const resumeSwarmRun = defineOperation({
  name: "swarm.resume",
  summary: "Go on with a swarm whose process died or whose merge did not land",
  tool: { name: "swarm_resume", readOnly: false, destructive: false, long: true },
  input: bySwarm,
  output: shownSwarmSchema,
  run: (context, { swarm_id: id }) =>
    withSwarmMeans(context, async (means) => {
      await refuseForeignSwarm(means, context, id);
      return resumeSwarm(means, id);
    }),
});

export const retrySwarmRun = defineOperation({
  name: "swarm.retry",
  summary: "Do the tasks of a swarm again that failed, in new workers",
  tool: { name: "swarm_retry", readOnly: false, destructive: false, long: true },
  input: z.strictObject({
    swarm_id: z.string().min(1).max(100),
    /** All that failed where it is left out. */
    tasks: z.array(z.string().min(1).max(100)).min(1).max(SWARM_LIMITS.tasks).optional(),
  }),
  output: shownSwarmSchema,
  run: (context, { swarm_id: id, tasks = null }) =>
    withSwarmMeans(context, async (means) => {
      await refuseForeignSwarm(means, context, id);
      return retrySwarm(means, id, tasks);
    }),
});

const SOURCES_MAX = 20;

export const mergeWorkspacesInto = defineOperation({
  name: "workspace.merge",
  summary: "Merge the commits of workspaces into another one, all or nothing",
  tool: { name: "workspace_merge", readOnly: false, destructive: false, long: true },
  input: z.strictObject({
    source_workspaces: z
      .array(z.string().min(1).max(200))
      .min(1, { error: "must not be empty" })
      .max(SOURCES_MAX, { error: `max length is ${SOURCES_MAX}` }),
    target_workspace: z.string().min(1).max(200),
    strategy: z.enum(MERGE_STRATEGIES).default("sequential"),
    /** The repository's folder in all of them; the workspace's own where it is left out. */
    path: z.string().min(1).max(4096).optional(),
    commit_message: z.string().min(1).max(10_000).optional(),
    /** Land what does not conflict; otherwise a conflict leaves the target as it is. */
    allow_partial: z.boolean().default(false),
    /** Say what would happen and change nothing. */
    dry_run: z.boolean().default(false),
  }),
  output: shownMergeSchema,
  run: (context, input) =>
    withSwarmMeans(context, async (means) => {
      const { path, strategy, source_workspaces: names } = input;
      const place = async (name: string) => ({
        workspace: unwrap(await findTarget(means, name)),
        path,
      });
      const target = await place(input.target_workspace);
      if (names.includes(input.target_workspace)) {
        throw new Refusal("merge-refused", `${input.target_workspace} is a source and the target`, {
          hint: "name other sources",
        });
      }
      const distinct = [...new Set(names)];
      const sources = await Promise.all(
        distinct.map(async (name) => ({ name, place: await place(name) })),
      );
      const merged = await mergeWorkspaces({
        sources,
        target,
        strategy,
        message: input.commit_message,
        allowPartial: input.allow_partial,
        dryRun: input.dry_run,
        means: mergeMeansOf(context),
      });
      return shownMerge(unwrap(merged));
    }),
});
