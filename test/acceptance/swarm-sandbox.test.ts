import { expect, test } from "vitest";
import { OPERATIONS } from "../../src/control/operations.ts";
import { describeWithSandboxes } from "../support/needs-sandbox.ts";
import { swarmRig } from "../support/swarm-rig.ts";

const golden = { golden_workspace: "prep-golden", snapshot: "golden", cleanup: true } as const;

await describeWithSandboxes("a swarm of sandboxes", () => {
  test("reads /workspace/context.md in each worker, and merges what is committed in /workspace", async () => {
    await using rig = await swarmRig("sandbox");
    const content = "# API Spec\nEndpoint: /health\nMethod: GET";
    await rig.ask(OPERATIONS.vault, { action: "write", path: "swarm-test/api-spec.md", content });
    const told = await rig.ask(OPERATIONS.runSwarmTasks, {
      ...golden,
      tasks: ["t1", "t2", "t3"].map((name) => ({
        name,
        command: "cat /workspace/context.md && hostname",
      })),
      shared_context: "swarm test context",
      vault_context: [{ kind: "read", query: "swarm-test/api-spec.md" }],
    });
    expect(told.summary).toMatchObject({ succeeded: 3, workers_destroyed: 3 });
    for (const { stdout } of told.tasks) {
      expect(stdout).toContain("swarm test context");
      expect(stdout).toContain("API Spec");
    }
    const hosts = told.tasks.map(({ stdout }) => stdout.trim().split("\n").at(-1));
    expect(new Set(hosts).size).toBe(3);

    const add = (name: string, text: string, file: string) => ({
      name,
      command: `cd /workspace && echo ${text} > ${file} && git add . && git commit -m 'add ${file}'`,
    });
    const merged = await rig.ask(OPERATIONS.runSwarmTasks, {
      ...golden,
      tasks: [add("m1", "merge1", "file1.txt"), add("m2", "merge2", "file2.txt")],
      shared_context: "in no commit",
      merge_strategy: "sequential",
      merge_target: "prep-golden",
    });
    expect(merged).toMatchObject({
      success: true,
      summary: { succeeded: 2, workers_destroyed: 2 },
      merge: { success: true, merged_sources: ["m1", "m2"], total_commits_applied: 2 },
    });
    expect(await rig.say("prep-golden", "cat /workspace/file1.txt /workspace/file2.txt")).toBe(
      "merge1\nmerge2",
    );
    expect(await rig.say("prep-golden", "ls; git status --porcelain")).toBe(
      "data\nfile1.txt\nfile2.txt",
    );
    expect(await rig.names()).toEqual(["prep-golden"]);
  });
});
