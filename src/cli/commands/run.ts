import type { Command } from "commander";
import type { Runner } from "../program.ts";
import type { Session } from "../session.ts";
import { nameList, wholeNumber } from "../values.ts";

interface RunOptions {
  readonly tasks?: readonly string[];
  readonly runId?: string;
  readonly maxParallel?: number;
  readonly workspace?: string;
  readonly agent?: string;
  readonly dryRun?: boolean;
}

export function addRun(program: Command, run: Runner): void {
  program
    .command("run")
    .description("work on the tasks, prove what comes back, and land it")
    .option("--tasks <ids>", "only these tasks, separated by commas", nameList)
    .option("--run-id <id>", "the run's id (default: made from the time)")
    .option("--max-parallel <n>", "tasks worked on at once", wholeNumber(1))
    .option("--workspace <kind>", "where agents work: local or docker")
    .option("--agent <name>", "who works: mock, echo, or one under `agents` in the configuration")
    .option("--dry-run", "show the batches and change nothing")
    .action((options: RunOptions, command: Command) =>
      run(command, (session) => (options.dryRun === true ? preview : work)(session, options)),
    );
}

async function preview(session: Session, options: RunOptions): Promise<number> {
  const { previewRun } = await import("../../control/operations/run.ts");
  const { renderBatches } = await import("../render/plans.ts");
  const result = await session.perform(previewRun, {
    tasks: options.tasks,
    max_parallel: options.maxParallel,
  });
  session.answer(result, (style) => renderBatches(result, style));
  return 0;
}

async function work(session: Session, options: RunOptions): Promise<number> {
  const { run } = await import("../../control/operations/run.ts");
  const { answerRun } = await import("../answer-run.ts");
  return answerRun(session, run, {
    tasks: options.tasks,
    run_id: options.runId,
    max_parallel: options.maxParallel,
    workspace: options.workspace,
    agent: options.agent,
  });
}
