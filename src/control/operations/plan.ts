import { resolve } from "node:path";
import { z } from "zod";
import { composePlanner, openRunRepository } from "../../compose.ts";
import { loadConfig } from "../../config.ts";
import { Refusal } from "../../domain/failure.ts";
import { planTasks } from "../../planning/plan.ts";
import { defineOperation } from "../operation.ts";

const plannedTaskSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  dependencies: z.array(z.string()),
  /** Where its manifest and spec are, or would be. */
  folder: z.string(),
});

export type PlannedTask = z.infer<typeof plannedTaskSchema>;

const outputSchema = z.strictObject({
  dry_run: z.boolean(),
  tasks_dir: z.string(),
  tasks: z.array(plannedTaskSchema),
});

export type PlanOutput = z.infer<typeof outputSchema>;

export const plan = defineOperation({
  name: "plan",
  summary: "Cut a plan into tasks, one folder each",
  input: z.strictObject({
    /** The plan, relative to the current folder. */
    input: z.string().min(1),
    /** Where to write the folders; the configuration's `tasks_dir` where it is left out. */
    output: z.string().min(1).optional(),
    dry_run: z.boolean().default(false),
  }),
  output: outputSchema,
  run: async (context, input) => {
    const { environment, cwd, clock, signal } = context;
    const config = await loadConfig({ configFile: context.configFile, cwd, environment });
    const tasksDir = input.output === undefined ? config.tasks_dir : resolve(cwd, input.output);
    await using repository = await openRunRepository(environment, config, clock);
    const tip = await repository.branchTip(config.main_branch);
    if (tip === null) {
      throw new Refusal("branch-missing", `there is no branch ${config.main_branch}`, {
        hint: `make it, or correct main_branch in ${config.file}`,
        details: { path: config.file, branch: config.main_branch },
      });
    }
    const folders = await planTasks({
      planner: composePlanner(environment, config),
      planPath: resolve(cwd, input.input),
      config: { ...config, tasks_dir: tasksDir },
      repositoryFiles: await repository.listFiles(tip.commit),
      dryRun: input.dry_run,
      signal,
    });
    const tasks = folders.map(({ path, manifest }): PlannedTask => {
      const { id, name, dependencies } = manifest;
      return { id, name, dependencies, folder: path };
    });
    return { dry_run: input.dry_run, tasks_dir: tasksDir, tasks };
  },
});
