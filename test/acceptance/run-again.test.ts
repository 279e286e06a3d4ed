import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeSandbox, ofType } from "../support/cli.ts";

const TASKS = [
  { id: "1", files: { writes: ["one.txt"] } },
  { id: "2", files: { writes: [] }, dependencies: ["1"] },
];

describe("a second run of the same tasks", () => {
  it("does not work again on what has landed, rescoped tasks included", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.tasks(TASKS);
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 0 });
    const tip = await sandbox.tip();
    expect(await sandbox.mycelium(["run", "--run-id", "r2"])).toMatchObject({ code: 0 });
    expect(await sandbox.tip()).toBe(tip);
    expect(ofType(sandbox.events("r2"), "attempt.started")).toEqual([]);
    expect(sandbox.state("r2").tasks).toMatchObject([
      { state: "skipped", reason: "landed-before" },
      { state: "skipped", reason: "landed-before" },
    ]);
  });

  it("works on a new task that needs a landed one, and on one whose spec has changed", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.tasks(TASKS);
    await sandbox.mycelium(["run", "--run-id", "r1"]);
    await sandbox.tasks([
      { id: "1", files: { writes: ["one.txt"] }, spec: "Something else.\n" },
      { id: "3", files: { writes: ["three.txt"] }, dependencies: ["2"] },
    ]);
    expect(await sandbox.mycelium(["run", "--run-id", "r2"])).toMatchObject({ code: 0 });
    const states = sandbox.state("r2").tasks.map(({ id, state }) => `${id} ${state}`);
    expect(states).toEqual(["1 complete", "2 skipped", "3 complete"]);
  });

  it("does again what a reset has taken off the branch", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure({});
    await sandbox.tasks([{ id: "1", files: { writes: ["one.txt"] } }]);
    await sandbox.mycelium(["run", "--run-id", "r1"]);
    await sandbox.repository.git("reset", "--quiet", "--hard", "HEAD~1");
    expect(await sandbox.mycelium(["run", "--run-id", "r2"])).toMatchObject({ code: 0 });
    expect(sandbox.state("r2").tasks).toMatchObject([{ state: "complete" }]);
  });

  it("goes on with a run without working again on what another has landed meanwhile", async () => {
    await using sandbox = await makeSandbox();
    const gate = join(sandbox.repository.folder, "gate");
    await sandbox.configure({ doctor: `test -e ${gate}`, max_attempts: 2 });
    await sandbox.tasks(TASKS);
    expect(await sandbox.mycelium(["run", "--run-id", "r1"])).toMatchObject({ code: 1 });
    await writeFile(gate, "");
    expect(await sandbox.mycelium(["run", "--run-id", "r2"])).toMatchObject({ code: 0 });
    const tip = await sandbox.tip();
    expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
    expect(await sandbox.tip()).toBe(tip);
    expect(sandbox.state("r1").tasks).toMatchObject([
      { state: "skipped", reason: "landed-before" },
      { state: "skipped", reason: "landed-before" },
    ]);
  });
});
