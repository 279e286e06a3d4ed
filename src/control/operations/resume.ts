import { z } from "zod";
import { openRunRepository } from "../../compose.ts";
import { loadConfig } from "../../config.ts";
import type { Config } from "../../config/resolve.ts";
import { Refusal } from "../../domain/failure.ts";
import { findResumable, resumeRun } from "../../runs/resume.ts";
import type { RunRow } from "../../store/runs.ts";
import type { Store } from "../../store/store.ts";
import { defineOperation, type OperationContext } from "../operation.ts";
import { withStoreIfAny } from "../with-store.ts";
import { conducting, runEndSchema } from "./run.ts";

export const resume = defineOperation({
  name: "resume",
  summary: "Go on with a run that stopped, failed, or whose process died",
  input: z.strictObject({
    /** The newest unfinished run of this repository where it is left out. */
    run_id: z.string().optional(),
  }),
  output: runEndSchema,
  run: async (context, input) => {
    const absent = (): never => {
      throw nothingToResume();
    };
    const { row, config } = await withStoreIfAny(context, absent, (store) =>
      findRunAndConfig(context, store, input.run_id),
    );
    const setting = { config, workspaceKind: row.workspace_kind, runId: row.id };
    return conducting(context, setting, (parts) => resumeRun(parts, row));
  },
});

/** A run is resumed with its own configuration file, unless another one is named. */
async function findRunAndConfig(
  context: OperationContext,
  store: Store,
  runId: string | undefined,
): Promise<{ readonly row: RunRow; readonly config: Config }> {
  const { environment, cwd, clock, configFile } = context;
  const here =
    runId === undefined ? await orNone(loadConfig({ configFile, cwd, environment })) : null;
  let gitDir: string | undefined;
  if (here !== null) {
    await using repository = await openRunRepository(environment, here, clock);
    gitDir = repository.gitDir;
  }
  const row = await findResumable(store, { home: environment.home, runId, gitDir });
  const file = configFile ?? row.config_path;
  const config =
    here?.file === file ? here : await loadConfig({ configFile: file, cwd, environment });
  return { row, config };
}

/** Outside a repository, or in one without a configuration, the newest run of all is meant. */
async function orNone(loading: Promise<Config>): Promise<Config | null> {
  try {
    return await loading;
  } catch (error) {
    const code = error instanceof Refusal ? error.failure.code : null;
    if (code === "config-missing" || code === "repository-missing") return null;
    throw error;
  }
}

function nothingToResume(): Refusal {
  return new Refusal("run-missing", "there is no run to resume", {
    hint: "`mycelium run` starts one",
  });
}
