import { describe, expect, it } from "vitest";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";

async function killedBetweenCheckoutAndBranch(sandbox: Sandbox): Promise<void> {
  await sandbox.configure({});
  await sandbox.tasks([{ id: "1", files: { writes: ["one.txt"] } }]);
  const killed = await sandbox.mycelium(["run", "--run-id", "r1"], {
    env: { MYCELIUM_CRASH_AT: "landing.checkout-advanced" },
  });
  expect(killed.signal).toBe("SIGKILL");
}

describe("a run that died after the checkout went ahead, before the branch followed", () => {
  it("lands exactly once although the branch was moved by somebody else since", async () => {
    await using sandbox = await makeSandbox();
    await killedBetweenCheckoutAndBranch(sandbox);
    const { repository } = sandbox;
    const tree = await repository.git("rev-parse", "main^{tree}");
    const person = await repository.git("commit-tree", "-p", "main", "-m", "person", tree);
    await repository.git("update-ref", "refs/heads/main", person);
    expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
    expect(ofType(sandbox.events("r1"), "landing.outrun")).toHaveLength(1);
    const subjects = await repository.git("log", "--format=%s", "main");
    expect(subjects.split("\n")).toEqual(["Task 1", "person", "base"]);
    expect(await repository.git("status", "--porcelain", "--untracked-files=no")).toBe("");
  });

  it("lands nothing again that a person committed from the checkout as their own", async () => {
    await using sandbox = await makeSandbox();
    await killedBetweenCheckoutAndBranch(sandbox);
    const { repository } = sandbox;
    await repository.git("commit", "--quiet", "-m", "mine by accident");
    expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
    const subjects = await repository.git("log", "--format=%s", "main");
    expect(subjects.split("\n")).toEqual(["mine by accident", "base"]);
    expect(sandbox.state("r1").tasks[0]).toMatchObject({ state: "complete", landed_commit: null });
    expect(await repository.git("status", "--porcelain", "--untracked-files=no")).toBe("");
  });
});
