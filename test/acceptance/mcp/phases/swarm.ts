import { expect } from "vitest";
import { sh, type Stage, type Steps } from "../driver.ts";

const SPEC = { path: "swarm-test/api-spec.md", text: "# API Spec\nEndpoint: /health\nMethod: GET" };
const CONTEXT_BYTES = 2 * 1024 * 1024;

interface TaskAnswer {
  readonly success: boolean;
  readonly stdout: string;
}

export async function swarm(stage: Stage, { step, needs, phase }: Steps): Promise<void> {
  const { mcp, at } = stage;
  const golden = stage.golden;
  const from = { golden_workspace: golden ?? "prep-golden", snapshot_name: "golden" };
  phase("7d swarm_run and vault");
  await step("a note is written", async () => {
    const input = { action: "write", path: SPEC.path, content: SPEC.text };
    await mcp.done("vault", input);
    const read = await mcp.done("vault", { action: "read", path: SPEC.path });
    expect(JSON.stringify(read)).toContain("Endpoint: /health");
  });
  await needs(golden, "three tasks find both contexts, and their workers are gone", async () => {
    const command = at("cat /workspace/context.md");
    const answer = await mcp.done("swarm_run", {
      ...from,
      tasks: ["t1", "t2", "t3"].map((name) => ({ name, command })),
      shared_context: "swarm test context",
      vault_context: [{ kind: "read", query: SPEC.path }],
      cleanup: true,
    });
    const tasks = answer["tasks"] as readonly TaskAnswer[];
    expect(tasks.map(({ success }) => success)).toEqual([true, true, true]);
    for (const { stdout } of tasks) {
      expect(stdout).toContain("swarm test context");
      expect(stdout).toContain("API Spec");
    }
    expect(answer["summary"]).toMatchObject({ total_tasks: 3, succeeded: 3, workers_destroyed: 3 });
  });
  await needs(golden, "two tasks' commits are merged into the golden", async (target) => {
    const commit = (file: string, text: string) =>
      at(`cd /workspace && echo ${text} > ${file} && git add . && git commit -m 'add ${file}'`);
    const answer = await mcp.done("swarm_run", {
      ...from,
      tasks: [
        { name: "m1", command: commit("file1.txt", "merge1") },
        { name: "m2", command: commit("file2.txt", "merge2") },
      ],
      merge_strategy: "sequential",
      merge_target: target,
      cleanup: true,
    });
    expect(answer["summary"]).toMatchObject({ total_tasks: 2, succeeded: 2 });
    expect(answer["merge"]).not.toBeNull();
  });
  await needs(golden, "the files of both are in the golden", async (target) => {
    const text = await sh(mcp, target, at("cat /workspace/file1.txt /workspace/file2.txt"));
    expect(text).toBe("merge1\nmerge2\n");
  });
  await step("two tasks of one name are refused", async () => {
    const tasks = ["dup", "dup"].map((name) => ({ name, command: "true" }));
    expect(await mcp.refused("swarm_run", { ...from, tasks })).toContain("duplicate task name");
  });
  await step("a shared context of two mebibytes is refused", async () => {
    const tasks = [{ name: "one", command: "true" }];
    const input = { ...from, tasks, shared_context: "x".repeat(CONTEXT_BYTES) };
    expect(await mcp.refused("swarm_run", input)).toContain("too large");
  });
  await step("21 tasks are refused", async () => {
    const tasks = Array.from({ length: 21 }, (_, at) => ({ name: `t${at}`, command: "true" }));
    expect(await mcp.refused("swarm_run", { ...from, tasks })).toContain("max length");
  });
}
