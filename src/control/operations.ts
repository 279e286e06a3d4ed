import { clean } from "./operations/clean.ts";
import { follow } from "./operations/follow.ts";
import { buildImage } from "./operations/image.ts";
import { init } from "./operations/init.ts";
import { failures, queryLog, searchLog, summarize, timeline } from "./operations/logs.ts";
import { plan } from "./operations/plan.ts";
import { listRuns, status } from "./operations/reports.ts";
import { resume } from "./operations/resume.ts";
import { previewRun, run } from "./operations/run.ts";
import * as swarm from "./operations/swarm.ts";
import { team } from "./operations/team.ts";
import { vault } from "./operations/vault.ts";
import * as workspaceCommands from "./operations/workspace-commands.ts";
import * as workspaceFiles from "./operations/workspace-files.ts";
import * as workspaceSnapshots from "./operations/workspace-snapshots.ts";
import * as workspaces from "./operations/workspaces.ts";

export { perform, type Operation, type OperationContext } from "./operation.ts";

/** Everything that Mycelium can be asked to do. Every face offers these and nothing else. */
export const OPERATIONS = {
  init,
  plan,
  run,
  previewRun,
  resume,
  status,
  listRuns,
  queryLog,
  searchLog,
  timeline,
  failures,
  summarize,
  follow,
  clean,
  buildImage,
  vault,
  ...swarm,
  team,
  ...workspaces,
  ...workspaceCommands,
  ...workspaceFiles,
  ...workspaceSnapshots,
} as const;
