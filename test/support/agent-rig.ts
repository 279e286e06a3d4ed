import type { Agent, AgentEvent, AgentTask } from "../../src/agents/agent.ts";
import { manifestSchema } from "../../src/domain/task.ts";
import type { Workspace } from "../../src/workspaces/workspace.ts";
import { localRig } from "./local-rig.ts";
import { seedRepository } from "./seed-repository.ts";
import { makeWorkspace } from "./workspace-rig.ts";

/** A local workspace with a task in it, for one agent. */
export interface AgentRig extends AsyncDisposable {
  readonly workspace: Workspace;
  task(changes?: Partial<AgentTask>, writes?: readonly string[]): AgentTask;
  /** Everything that the agent tells. */
  run(agent: Agent, task: AgentTask): Promise<readonly AgentEvent[]>;
  /** A file of the repository, or `null` where it is missing. */
  read(path: string): Promise<string | null>;
}

export async function agentRig(): Promise<AgentRig> {
  const rig = await localRig();
  const seed = await seedRepository();
  const workspace = await makeWorkspace(rig, seed);
  const inContext = (name: string): string => `${workspace.contextDir}/${name}`;
  await workspace.writeFile(inContext("spec.md"), "Do it.\n");
  return {
    workspace,
    task: (changes = {}, writes = []) => ({
      runId: "run-1",
      taskId: "7",
      attempt: 2,
      manifest: manifestSchema.parse({ id: "7", name: "Seventh task", files: { writes } }),
      spec: "Do it.\n",
      feedback: null,
      base: seed.head,
      workspace,
      specFile: inContext("spec.md"),
      manifestFile: inContext("manifest.json"),
      feedbackFile: null,
      timeoutMs: 60_000,
      signal: new AbortController().signal,
      ...changes,
    }),
    run: async (agent, task) => {
      const events: AgentEvent[] = [];
      for await (const event of agent.work(task)) events.push(event);
      return events;
    },
    read: async (path) => {
      const read = await workspace.readFile(path, { bytesMax: 10_000_000 });
      return read.ok ? read.value.toString() : null;
    },
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]();
      await seed[Symbol.asyncDispose]();
    },
  };
}

/** All text of one stream, put together again. */
export function textOf(events: readonly AgentEvent[], stream: "stdout" | "stderr"): string {
  return events
    .map((event) => (event.kind === "text" && event.stream === stream ? event.text : ""))
    .join("");
}
