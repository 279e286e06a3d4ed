import type { Command } from "commander";
import type { Runner } from "../program.ts";
import { addCommands } from "./workspace/commands.ts";
import { addFiles } from "./workspace/files.ts";
import { addEnv, addLife, addUpkeep } from "./workspace/life.ts";
import { addMerge } from "./workspace/merge.ts";
import { addSnapshots } from "./workspace/snapshots.ts";

export function addWorkspace(program: Command, run: Runner): void {
  const workspace = program
    .command("workspace")
    .description("workspaces that are kept: made, forked, worked in and removed by hand");
  addLife(workspace, run);
  addCommands(workspace, run);
  addEnv(workspace, run);
  addFiles(workspace, run);
  addSnapshots(workspace, run);
  addMerge(workspace, run);
  addUpkeep(workspace, run);
}
