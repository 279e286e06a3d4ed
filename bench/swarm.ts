/**
 * A swarm of trivial tasks that is merged, beside the same by separate calls, one after the other in
 * the same run: `node bench/swarm.ts [kind] [tasks] [rounds]`. Medians, in milliseconds, as JSON.
 */
import { OPERATIONS } from "../src/control/operations.ts";
import { swarmRig, type SwarmRig } from "../test/support/swarm-rig.ts";

const KINDS = ["sandbox", "local", "docker", "vm"] as const;
const KIND = KINDS.find((kind) => kind === process.argv[2]) ?? "sandbox";
const TASKS = Number(process.argv[3] ?? 10);
const ROUNDS = Number(process.argv[4] ?? 5);

const figures = new Map<string, number[]>();

async function measure<T>(name: string, act: () => Promise<T>): Promise<T> {
  const from = performance.now();
  const value = await act();
  figures.set(name, [...(figures.get(name) ?? []), performance.now() - from]);
  return value;
}

const median = (values: readonly number[]): number =>
  Math.round(values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0);

const command = (label: string): string =>
  `echo ${label} > ${label}.txt && git add . && git commit -q -m ${label}`;

async function bySwarm(rig: SwarmRig, round: number, parallel: number): Promise<void> {
  const report = await rig.ask(OPERATIONS.runSwarmTasks, {
    golden_workspace: "prep-golden",
    tasks: Array.from({ length: TASKS }, (_, at) => {
      return { name: `t${at}`, command: command(`swarm-${parallel}-${round}-${at}`) };
    }),
    max_parallel: parallel,
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
    await rig.say(name, command(`calls-${name}`));
  }
  await rig.ask(OPERATIONS.mergeWorkspacesInto, {
    source_workspaces: names,
    target_workspace: "prep-golden",
  });
  for (const name of names) await rig.ask(OPERATIONS.destroyWorkspace, { name });
}

await using rig = await swarmRig(KIND);
for (let round = 0; round < ROUNDS; round += 1) {
  for (const parallel of [4, TASKS]) {
    await measure(`swarm, ${parallel} at once`, () => bySwarm(rig, round, parallel));
  }
  await measure("separate calls", () => byCalls(rig, round));
}
const medians = Object.fromEntries([...figures].map(([name, times]) => [name, median(times)]));
console.log(JSON.stringify({ kind: KIND, tasks: TASKS, rounds: ROUNDS, medians_ms: medians }));
