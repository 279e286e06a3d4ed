import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { manifestSchema, type Manifest } from "../../src/domain/task.ts";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";

function manifestOf(sandbox: Sandbox, folder: string): Manifest {
  const path = join(sandbox.repository.path, ".mycelium", "tasks", folder, "manifest.json");
  return manifestSchema.parse(JSON.parse(readFileSync(path, "utf8")));
}

describe("G1.1: a task that writes outside its manifest", () => {
  it("is tried again with a wider manifest, and lands", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ manifest_enforcement: "warn" });
    await sandbox.repository.write("plan.md", "Do something.\n");
    const tasks = [{ id: "001", name: "Undeclared", files: { writes: [] }, spec: "Write." }];
    const planned = await sandbox.mycelium(["plan", "--input", "plan.md"], {
      env: { MOCK_LLM_OUTPUT: JSON.stringify({ tasks }) },
    });
    expect(planned).toMatchObject({ code: 0 });
    const run = await sandbox.mycelium(["run", "--run-id", "r1"]);
    expect(run).toMatchObject({ code: 0 });
    const [task] = sandbox.state("r1").tasks;
    expect(task).toMatchObject({ state: "complete" });
    expect(task?.attempts).toBeGreaterThanOrEqual(2);
    expect(manifestOf(sandbox, "001-undeclared").files.writes).toEqual(["mock-output.txt"]);
    expect(await sandbox.repository.git("show", "main:mock-output.txt")).not.toBe("");
    expect(ofType(sandbox.events("r1"), "manifest.violated")).toHaveLength(1);
    expect(ofType(sandbox.events("r1"), "manifest.rescoped")).toHaveLength(1);
    expect(ofType(sandbox.events("r1"), "budget.block")).toEqual([]);
  });

  it("takes the lock of the resource that it wrote to as well", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ resources: [{ name: "outputs", paths: ["out/**"] }] });
    await sandbox.tasks([{ id: "1", files: { writes: ["out/**"] } }]);
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 0 });
    expect(manifestOf(sandbox, "1-task").locks.writes).toEqual(["outputs"]);
  });

  it("is stopped under block: nothing lands, and nothing is approved behind anyone's back", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ manifest_enforcement: "block" });
    await sandbox.tasks([{ id: "1", files: { writes: [] } }]);
    const before = await sandbox.tip();
    const run = await sandbox.mycelium(["run", "--run-id", "r1"]);
    expect(run.code).toBe(1);
    expect(run.stdout + run.stderr).toContain("mock-output.txt");
    expect(sandbox.state("r1")).toMatchObject({ status: "failed", stop_reason: "manifest" });
    expect(await sandbox.tip()).toBe(before);
    expect(manifestOf(sandbox, "1-task").files.writes).toEqual([]);
    expect(ofType(sandbox.events("r1"), "manifest.rescoped")).toEqual([]);
  });

  it("lands after a person widened the manifest and resumed", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ manifest_enforcement: "block" });
    await sandbox.tasks([{ id: "1", files: { writes: [] } }]);
    await sandbox.mycelium(["run", "--run-id", "r1"]);
    await sandbox.tasks([{ id: "1", files: { writes: ["mock-output.txt"] } }]);
    expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
    expect(await sandbox.repository.git("show", "main:mock-output.txt")).not.toBe("");
  });

  it("only warns where the switch for rescoping is off", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ manifest_enforcement: "warn", auto_rescope: false });
    await sandbox.tasks([{ id: "1", files: { writes: [] } }]);
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 0 });
    expect(sandbox.state("r1").tasks[0]).toMatchObject({ state: "complete", attempts: 1 });
    expect(ofType(sandbox.events("r1"), "manifest.violated")).toHaveLength(1);
    expect(manifestOf(sandbox, "1-task").files.writes).toEqual([]);
  });

  it("is not looked at where enforcement is off", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({ manifest_enforcement: "off" });
    await sandbox.tasks([{ id: "1", files: { writes: [] } }]);
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 0 });
    expect(ofType(sandbox.events("r1"), "manifest.violated")).toEqual([]);
  });
});
