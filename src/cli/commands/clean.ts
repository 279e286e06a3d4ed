import type { Command } from "commander";
import type { Runner } from "../program.ts";
import type { Session } from "../session.ts";

interface CleanOptions {
  readonly runId?: string;
  readonly keepLogs?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

export function addClean(program: Command, run: Runner): void {
  program
    .command("clean")
    .description("remove what runs left: workspaces, refs, logs, records")
    .option("--run-id <id>", "only of this run (default: of all)")
    .option("--keep-logs", "leave the run's folder with its logs")
    .option("--dry-run", "show what would be removed")
    .option("--force", "do not ask, and remove work that did not land, too")
    .action((options: CleanOptions, command: Command) =>
      run(command, (session) => clean(session, options)),
    );
}

async function clean(session: Session, options: CleanOptions): Promise<number> {
  const { clean: operation } = await import("../../control/operations/clean.ts");
  const { renderClean } = await import("../render/clean.ts");
  const input = {
    run_id: options.runId,
    keep_logs: options.keepLogs ?? false,
    force: options.force ?? false,
  };
  if (options.dryRun === true || !input.force) {
    const foretold = await session.perform(operation, { ...input, dry_run: true });
    const isAll = options.dryRun === true || foretold.runs.length === 0;
    if (isAll && !isRefusal(foretold, options)) {
      session.answer(foretold, (style) => renderClean(foretold, style));
      return 0;
    }
    if (foretold.runs.length > 0) await confirm(session, renderClean(foretold, session.errorStyle));
  }
  const report = await session.perform(operation, input);
  session.answer(report, (style) => renderClean(report, style));
  return 0;
}

/** Where one run is named and cannot go, the operation itself says so, as an error. */
function isRefusal(
  { runs }: { readonly runs: readonly unknown[] },
  { dryRun, runId }: CleanOptions,
): boolean {
  return dryRun !== true && runId !== undefined && runs.length === 0;
}

async function confirm({ terminal, signal }: Session, question: string): Promise<void> {
  const { Refusal } = await import("../../domain/failure.ts");
  if (!terminal.canAsk) {
    throw new Refusal("confirmation-needed", "nobody is there to say yes", {
      hint: "--dry-run shows what would be removed, --force removes it",
    });
  }
  terminal.stderr.write(`${question}\n`);
  if (await terminal.ask("Remove it? [y/N] ", signal)) return;
  throw new Refusal("confirmation-needed", "nothing was removed", {
    hint: "answer y, or use --force",
  });
}
