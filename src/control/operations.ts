import { clean } from "./operations/clean.ts";
import { follow } from "./operations/follow.ts";
import { buildImage } from "./operations/image.ts";
import { init } from "./operations/init.ts";
import { failures, queryLog, searchLog, summarize, timeline } from "./operations/logs.ts";
import { installMcp, showSkill } from "./operations/mcp.ts";
import { plan } from "./operations/plan.ts";
import { listRuns, status } from "./operations/reports.ts";
import { resume } from "./operations/resume.ts";
import { previewRun, run } from "./operations/run.ts";
import { toolWorkspaceAdopt } from "./operations/tools/adopt.ts";
import { toolExec, toolExecBackground, toolExecParallel } from "./operations/tools/exec.ts";
import {
  toolFileEdit,
  toolFileList,
  toolFileRead,
  toolFileTransfer,
  toolFileWrite,
} from "./operations/tools/files.ts";
import {
  toolGitClone,
  toolGitCommit,
  toolGitDiff,
  toolGitPush,
  toolGitStatus,
} from "./operations/tools/git.ts";
import {
  toolWorkspaceCreate,
  toolWorkspaceDestroy,
  toolWorkspaceInfo,
  toolWorkspaceList,
  toolWorkspaceLogs,
  toolWorkspaceStart,
  toolWorkspaceStop,
} from "./operations/tools/life.ts";
import {
  toolOperationCancel,
  toolOperationStatus,
  toolOperationWait,
} from "./operations/tools/operations.ts";
import { toolNetworkPolicy, toolPortForward } from "./operations/tools/ports.ts";
import { toolWorkspacePrepare } from "./operations/tools/prepare.ts";
import { toolSetEnv } from "./operations/tools/set-env.ts";
import { toolSnapshot, toolWorkspaceFork } from "./operations/tools/snapshots.ts";
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
  installMcp,
  showSkill,
  vault,
  ...swarm,
  team,
  ...workspaces,
  ...workspaceCommands,
  ...workspaceFiles,
  ...workspaceSnapshots,
  toolWorkspaceCreate,
  toolWorkspaceDestroy,
  toolWorkspaceStart,
  toolWorkspaceStop,
  toolWorkspaceList,
  toolWorkspaceInfo,
  toolWorkspaceLogs,
  toolExec,
  toolExecBackground,
  toolExecParallel,
  toolSetEnv,
  toolFileWrite,
  toolFileRead,
  toolFileEdit,
  toolFileList,
  toolFileTransfer,
  toolSnapshot,
  toolWorkspaceFork,
  toolWorkspacePrepare,
  toolWorkspaceAdopt,
  toolPortForward,
  toolNetworkPolicy,
  toolGitClone,
  toolGitStatus,
  toolGitDiff,
  toolGitCommit,
  toolGitPush,
  toolOperationStatus,
  toolOperationWait,
  toolOperationCancel,
} as const;
