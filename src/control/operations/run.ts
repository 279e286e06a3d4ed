import { z } from "zod";
import { compose } from "../../compose.ts";
import { loadConfig } from "../../config.ts";
import type { Environment } from "../../config/environment.ts";
import type { Config } from "../../config/resolve.ts";
import { Refusal } from "../../domain/failure.ts";
import { taskIdSchema } from "../../domain/task.ts";
import type { RunEnding, RunParts } from "../../runs/conduct.ts";
import { reportRun, runReportSchema } from "../../runs/report.ts";
import { dryRun, startRun } from "../../runs/start.ts";
import type { Store } from "../../store/store.ts";
import { knownSecrets } from "../known-secrets.ts";
import { defineOperation, type OperationContext } from "../operation.ts";
import { withStore } from "../with-store.ts";
import { armCrashPointOf } from "../crash-at.ts";

const selection = {
  /** Ids of the tasks to run; all where it is left out. */
  tasks: z.array(taskIdSchema).min(1).optional(),
  max_parallel: z.int().min(1).max(256).optional(),
};

/** How a run ended, with everything that `status` says of it. */
export const runEndSchema = runReportSchema.extend({ exit_code: z.number().int() });

export type RunEnd = z.infer<typeof runEndSchema>;

export const run = defineOperation({
  name: "run",
  summary: "Work on the tasks, prove what comes back, and land it",
  input: z.strictObject({
    ...selection,
    run_id: z.string().optional(),
    workspace: z.string().optional(),
    agent: z.string().optional(),
  }),
  output: runEndSchema,
  run: async (context, input) => {
    const { environment, cwd } = context;
    const config = await loadConfig({ configFile: context.configFile, cwd, environment });
    const request = {
      tasks: input.tasks,
      runId: input.run_id,
      maxParallel: input.max_parallel,
      agent: input.agent ?? defaultAgent(environment, config),
    };
    const setting = { config, workspaceKind: input.workspace };
    return conducting(context, setting, (parts) => startRun(parts, request));
  },
});

const previewSchema = z.strictObject({
  batches: z.array(z.array(z.strictObject({ id: z.string(), name: z.string() }))),
});

export type RunPreview = z.infer<typeof previewSchema>;

export const previewRun = defineOperation({
  name: "run.preview",
  summary: "Show which tasks would run side by side; changes nothing",
  input: z.strictObject(selection),
  output: previewSchema,
  run: async ({ environment, cwd, configFile }, input) => {
    const config = await loadConfig({ configFile, cwd, environment });
    const request = { tasks: input.tasks, maxParallel: input.max_parallel };
    const batches = await dryRun({ config }, request);
    return { batches: batches.map((batch) => [...batch]) };
  },
});

export interface RunSetting {
  readonly config: Config;
  readonly workspaceKind: string | undefined;
  /** A run that is there already. */
  readonly runId?: string | undefined;
}

/** Puts a run's parts together for as long as it is conducted, and reports how it ended. */
export async function conducting(
  context: OperationContext,
  setting: RunSetting,
  conduct: (parts: RunParts) => Promise<RunEnding>,
): Promise<RunEnd> {
  const { environment, clock, signal, version, onEvent } = context;
  armCrashPointOf(environment);
  const secrets = knownSecrets(environment, setting.config);
  return withStore(context, secrets, async (store: Store) => {
    const composition = await compose({ environment, clock, ...setting });
    await using _repository = composition.repository;
    if (setting.runId !== undefined) context.onStart(await reportRun(store, setting.runId));
    store.subscribe((events) => events.forEach(onEvent));
    const { home } = environment;
    const { config } = setting;
    const ending = await conduct({ ...composition, home, config, store, version, signal });
    const report = await reportRun(store, ending.runId);
    return { ...report, exit_code: ending.exitCode };
  });
}

function defaultAgent(environment: Environment, config: Config): string {
  if (config.agent !== undefined) return config.agent;
  if (environment.mockLlm) return "mock";
  const known = [...config.agents.keys(), "echo", "mock"].join(", ");
  throw new Refusal("agent-unknown", "nobody says which agent is to work", {
    hint: `name one with --agent, or as \`agent\` in ${config.file}; known are ${known}`,
    details: { path: config.file, field: "agent" },
  });
}
