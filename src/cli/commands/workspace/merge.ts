import type { Command } from "commander";
import type { Runner } from "../../program.ts";
import { renderMerge } from "../../render/swarm.ts";

interface MergeOptions {
  readonly strategy?: string;
  readonly path?: string;
  readonly message?: string;
  readonly partial?: boolean;
  readonly dryRun?: boolean;
}

export function addMerge(workspace: Command, run: Runner): void {
  workspace
    .command("merge")
    .argument("<target>", "the workspace that takes the commits")
    .argument("<sources...>", "the workspaces that they come from")
    .description("merge commits of workspaces into another one, all or nothing")
    .option("--strategy <name>", "sequential, branch-per-source or cherry-pick")
    .option("--path <dir>", "the repository in all of them (default: the workspace's own)")
    .option("--message <text>", "of merge commits")
    .option("--partial", "take what does not conflict")
    .option("--dry-run", "say what would happen and change nothing")
    .action((target: string, sources: readonly string[], given: MergeOptions, command: Command) =>
      run(command, async (session) => {
        const { mergeWorkspacesInto } = await import("../../../control/operations/swarm.ts");
        const { strategy, path, message, partial, dryRun } = given;
        const merge = await session.perform(mergeWorkspacesInto, {
          target_workspace: target,
          source_workspaces: sources,
          strategy,
          path,
          commit_message: message,
          allow_partial: partial,
          dry_run: dryRun,
        });
        session.answer(merge, (style) => renderMerge(merge, style));
        return merge.success ? 0 : 1;
      }),
    );
}
