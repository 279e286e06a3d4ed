import type { Command } from "commander";
import type { Runner } from "../program.ts";

export function addResume(program: Command, run: Runner): void {
  program
    .command("resume")
    .description("go on with a run that stopped, failed, or whose process died")
    .argument("[run]", "the run (default: the newest unfinished one of this repository)")
    .action((runId: string | undefined, _options: object, command: Command) =>
      run(command, async (session) => {
        const { resume } = await import("../../control/operations/resume.ts");
        const { answerRun } = await import("../answer-run.ts");
        return answerRun(session, resume, { run_id: runId });
      }),
    );
}
