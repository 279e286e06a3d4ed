import type { Command } from "commander";
import type { Runner } from "../program.ts";

interface PlanOptions {
  readonly input: string;
  readonly output?: string;
  readonly dryRun?: boolean;
}

export function addPlan(program: Command, run: Runner): void {
  program
    .command("plan")
    .description("cut a plan into tasks, one folder each")
    .requiredOption("--input <file>", "the plan")
    .option("--output <dir>", "where the folders go (default: tasks_dir of the configuration)")
    .option("--dry-run", "check everything and write nothing")
    .action((options: PlanOptions, command: Command) =>
      run(command, async (session) => {
        const { plan } = await import("../../control/operations/plan.ts");
        const { renderPlan } = await import("../render/plans.ts");
        const result = await session.perform(plan, {
          input: options.input,
          output: options.output,
          dry_run: options.dryRun ?? false,
        });
        session.answer(result, (style) => renderPlan(result, style));
        return 0;
      }),
    );
}
