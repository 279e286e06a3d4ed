import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { seedRepository, type SeedRepository } from "../../test/support/seed-repository.ts";
import {
  ENV,
  isRunning,
  makeWorkspace,
  output,
  sh,
  stubborn,
  type ContractMeans,
  type ProviderRig,
} from "../../test/support/workspace-rig.ts";
import { describeCollecting } from "./workspace-collect.contract.ts";
import { describeCommands, describeEndings } from "./workspace-commands.contract.ts";
import { describeFiles } from "./workspace-files.contract.ts";
import type { Workspace } from "./workspace.ts";

/** What every kind of workspace must hold: each has a test file that calls this. */
export function describeWorkspaceContract(name: string, makeRig: () => Promise<ProviderRig>): void {
  describe(`the ${name} workspace`, () => {
    let seed: SeedRepository;
    beforeAll(async () => {
      seed = await seedRepository();
    });
    afterAll(async () => seed[Symbol.asyncDispose]());
    const means = { makeRig, seed: () => seed };
    describeSeeding(means);
    describeCommands(means);
    describeEndings(means);
    describeFiles(means);
    describeCollecting(means);
    describeProviding(means);
  });
}

function describeSeeding({ makeRig, seed }: ContractMeans): void {
  test("starts as a clean checkout of the commit on the branch", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    expect(await output(workspace, "git rev-parse HEAD")).toBe(seed().head);
    expect(await output(workspace, "git symbolic-ref HEAD")).toBe("refs/heads/task/one");
    expect(await output(workspace, "git status --porcelain")).toBe("");
    expect(await output(workspace, "cat README.md link.js")).toBe("# Seed\nconsole.log(1);");
    expect(await output(workspace, "./run.sh && readlink link.js")).toBe("src/main.js");
  });

  test("brings neither configuration, hooks, remotes nor other branches of the seed", async () => {
    await using rig = await makeRig();
    await using other = await seedRepository();
    await other.git("config", "alias.evil", "!touch evil");
    await other.git("config", "core.hooksPath", ".");
    await other.git("remote", "add", "origin", "https://localhost/none");
    await other.git("branch", "secret");
    const workspace = await makeWorkspace(rig, other);
    expect(await output(workspace, "git remote; git branch --format '%(refname)'")).toBe(
      "refs/heads/task/one",
    );
    expect((await sh(workspace, "git evil")).ending).toEqual({ kind: "exited", code: 1 });
    expect(await output(workspace, "git config --local core.hooksPath || echo none")).toBe("none");
  });

  test("what is committed in it does not reach the seed", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const commit = await output(workspace, "git commit -q --allow-empty -m x; git rev-parse HEAD");
    await expect(seed().git("cat-file", "-e", commit)).rejects.toThrow('"code":1');
    expect(await seed().git("status", "--porcelain")).toBe("");
  });

  test("holds repositories with sha256 ids", async () => {
    await using rig = await makeRig();
    await using other = await seedRepository("sha256");
    const workspace = await makeWorkspace(rig, other);
    expect(await output(workspace, "git rev-parse HEAD; git status --porcelain")).toBe(other.head);
    await output(workspace, "git commit -q --allow-empty -m x");
    expect(await workspace.collect(other.head)).toMatchObject({ ok: true });
  });

  test.each([
    ["an unknown commit", "1".repeat(40), "task"],
    ["something that is no commit", "HEAD", "task"],
    ["a branch that git forbids", "", "../task"],
  ])("%s is a failure that leaves nothing behind", async (_name, commit, branch) => {
    await using rig = await makeRig();
    const { gitDir, objectFormat, head } = seed();
    const from = { gitDir, objectFormat, commit: commit === "" ? head : commit, branch };
    const made = await rig.provider.create({ id: "one", seed: from, env: ENV });
    expect(made).toMatchObject({ ok: false, failure: { code: "workspace-failed" } });
    expect(await rig.provider.list()).toEqual([]);
  });
}

function describeProviding({ makeRig, seed }: ContractMeans): void {
  test("says in words what it does and does not hold", async () => {
    await using rig = await makeRig();
    expect(rig.provider.isolation).toMatch(/\w{3,} .*\w{3,}/);
  });

  test("a workspace is found again by its id, with its files, and works", async () => {
    await using rig = await makeRig();
    const first = await makeWorkspace(rig, seed());
    await first.writeFile("note.txt", "kept");
    const found = await rig.provider.find({ id: "one", env: { ...ENV, GREETING: "again" } });
    expect(found).toMatchObject({ id: "one", repositoryDir: first.repositoryDir });
    expect(await output(found as Workspace, 'cat note.txt; echo " $GREETING"')).toBe("kept again");
    expect(await found?.collect(seed().head)).toMatchObject({ ok: true, value: { bundle: null } });
  });

  test("what is missing or only half made is not found", async () => {
    await using rig = await makeRig();
    await rig.leaveHalfMade("half");
    expect(await rig.provider.find({ id: "half", env: ENV })).toBeNull();
    expect(await rig.provider.find({ id: "missing", env: ENV })).toBeNull();
    expect(await rig.provider.find({ id: "../half", env: ENV })).toBeNull();
  });

  test("lists and removes workspaces, half-made ones too", async () => {
    await using rig = await makeRig();
    expect(await rig.provider.list()).toEqual([]);
    await makeWorkspace(rig, seed(), "one");
    await makeWorkspace(rig, seed(), "two.2-b");
    await rig.leaveHalfMade("half");
    expect((await rig.provider.list()).toSorted()).toEqual(["half", "one", "two.2-b"]);
    await rig.provider.remove("half");
    await rig.provider.remove("one");
    await rig.provider.remove("one");
    await rig.provider.remove("never-was");
    expect(await rig.provider.list()).toEqual(["two.2-b"]);
  });

  test("an id that is taken is a failure, and whoever has it keeps it", async () => {
    await using rig = await makeRig();
    const first = await makeWorkspace(rig, seed());
    await first.writeFile("note.txt", "kept");
    await expect(makeWorkspace(rig, seed())).rejects.toThrow(/one/);
    const { gitDir, objectFormat, head: commit } = seed();
    const from = { gitDir, objectFormat, commit, branch: "task" };
    const second = await rig.provider.create({ id: "one", seed: from, env: ENV });
    expect(second.ok ? "" : second.failure.hint).toMatch(/another id/);
    expect(await output(first, "cat note.txt")).toBe("kept");
  });

  test.each(["", ".", "..", "../x", "../traversal", "a/b", "-x", "a\nb", "a".repeat(300)])(
    "the id %j is refused",
    async (id) => {
      await using rig = await makeRig();
      const { gitDir, objectFormat, head: commit } = seed();
      const from = { gitDir, objectFormat, commit, branch: "task" };
      const made = await rig.provider.create({ id, seed: from, env: ENV });
      expect(made).toMatchObject({ ok: false, failure: { code: "workspace-failed" } });
    },
  );

  test("the leftovers of an earlier life are ended, of this workspace alone", async () => {
    await using rig = await makeRig();
    const one = await makeWorkspace(rig, seed(), "one");
    const two = await makeWorkspace(rig, seed(), "two");
    const both = [one, two].map((workspace) => sh(workspace, stubborn("daemon")));
    await eventually("one runs", async () => isRunning(one, "daemon"));
    await eventually("two runs", async () => isRunning(two, "daemon"));
    expect(await rig.provider.endLeftovers("one")).toBeGreaterThanOrEqual(1);
    expect((await both[0])?.ending.kind).not.toBe("timed-out");
    expect(await isRunning(two, "daemon")).toBe(true);
    expect(await rig.provider.endLeftovers("one")).toBe(0);
    await rig.provider.remove("two");
    expect((await both[1])?.ending.kind).not.toBe("timed-out");
  });

  test("removes what a worker made hard to remove", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await output(
      workspace,
      "mkdir -p locked/in && touch locked/in/file && chmod 000 locked/in locked",
    );
    await workspace.destroy();
    expect(await rig.provider.list()).toEqual([]);
  });
}
