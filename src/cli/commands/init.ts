import type { Command } from "commander";
import type { Runner } from "../program.ts";

export function addInit(program: Command, run: Runner): void {
  program
    .command("init")
    .description("write .mycelium/config.yaml with comments")
    .option("--force", "overwrite the one that is there")
    .action((options: { force?: boolean }, command: Command) =>
      run(command, async (session) => {
        const { init } = await import("../../control/operations/init.ts");
        const { renderInit } = await import("../render/plans.ts");
        const result = await session.perform(init, { force: options.force ?? false });
        session.answer(result, (style) => renderInit(result, style));
        return 0;
      }),
    );
}
