import type { Command } from "commander";
import type { Runner } from "../program.ts";
import { wholeNumber } from "../values.ts";

export function addRuns(program: Command, run: Runner): void {
  program
    .command("runs")
    .description("list runs")
    .command("list")
    .description("list runs, the newest first, of all repositories")
    .option("--limit <n>", "show so many at the most", wholeNumber(1), 50)
    .action((options: { limit: number }, command: Command) =>
      run(command, async (session) => {
        const { listRuns } = await import("../../control/operations/reports.ts");
        const { renderRunList } = await import("../render/run-list.ts");
        const list = await session.perform(listRuns, options);
        session.answer(list, (style) => renderRunList(list, style));
        return 0;
      }),
    );
}
