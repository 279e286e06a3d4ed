import type { Command } from "commander";
import type { Runner } from "../program.ts";

export function addStatus(program: Command, run: Runner): void {
  program
    .command("status")
    .description("show a run: its tasks, what landed, and what to do next")
    .argument("[run]", "the run (default: the newest one of this repository)")
    .action((runId: string | undefined, _options: object, command: Command) =>
      run(command, async (session) => {
        const { status } = await import("../../control/operations/reports.ts");
        const { renderRunReport } = await import("../render/run-report.ts");
        const report = await session.perform(status, { run_id: runId });
        session.answer(report, (style) => renderRunReport(report, style));
        return 0;
      }),
    );
}
