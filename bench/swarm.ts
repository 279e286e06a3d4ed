import { OPERATIONS } from "../src/control/operations.ts";
import type { WorkspaceKind } from "../src/workspaces/workspace.ts";
import { swarmRig, type SwarmRig } from "../test/support/swarm-rig.ts";
import { startStopwatch, type Samples } from "./workspaces/stopwatch.ts";

export const TASKS = 10;

export interface SwarmsRequest {
  readonly kind: WorkspaceKind;
  readonly rounds: number;
  /** Holds images and booted machines. */
  readonly cache: string;
  readonly progress: (what: string) => void;
}

/** A swarm of trivial tasks that is merged, beside the same by separate calls, in turn. */
export async function measureSwarms({
  kind,
  rounds,
  cache,
  progress,
}: SwarmsRequest): Promise<Samples> {
  const watch = startStopwatch();
  await using rig = await swarmRig(kind, { MYCELIUM_CACHE: cache });
  for (let round = 1; round <= rounds; round += 1) {
    progress(`swarms on ${kind}, round ${round} of ${rounds}`);
    await watch.timed("swarm", () => bySwarm(rig, round));
    await watch.timed("separate calls", () => byCalls(rig, round));
  }
  return watch.samples;
}

function commandOf(label: string): string {
  return `echo ${label} > ${label}.txt && git add . && git commit -q -m ${label}`;
}

async function bySwarm(rig: SwarmRig, round: number): Promise<void> {
  const report = await rig.ask(OPERATIONS.runSwarmTasks, {
    golden_workspace: "prep-golden",
    tasks: Array.from({ length: TASKS }, (_, at) => {
      return { name: `t${at}`, command: commandOf(`swarm-${round}-${at}`) };
    }),
    max_parallel: TASKS,
    shared_context: "known to all",
    merge_strategy: "sequential",
    merge_target: "prep-golden",
  });
  if (!report.success) throw new Error(JSON.stringify(report));
}

/** What an agent would do without it: a call for each thing, one after the other. */
async function byCalls(rig: SwarmRig, round: number): Promise<void> {
  const names = Array.from({ length: TASKS }, (_, at) => `w-${round}-${at}`);
  for (const name of names) {
    await rig.ask(OPERATIONS.forkSnapshot, { snapshot: "prep-golden@golden", names: [name] });
    await rig.ask(OPERATIONS.writeWorkspaceFile, { name, path: "context.md", content: "known" });
    await rig.say(name, "echo /context.md >> .git/info/exclude");
    await rig.say(name, commandOf(`calls-${name}`));
  }
  await rig.ask(OPERATIONS.mergeWorkspacesInto, {
    source_workspaces: names,
    target_workspace: "prep-golden",
  });
  for (const name of names) await rig.ask(OPERATIONS.destroyWorkspace, { name });
}
