import { chmod, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  installTellTaleHooks,
  makeGitRepository,
  writeIn,
} from "../../test/support/git-repository.ts";

describe("findCheckout", () => {
  test("finds the main worktree from a linked one, and the other way round, by one process", async () => {
    await using repository = await makeGitRepository();
    const linked = join(repository.folder, "linked\ntree ä");
    await repository.git("worktree", "add", "--quiet", linked, "-b", "other");
    const started: string[] = [];
    await using opened = await repository.open({
      path: linked,
      onStart: (args) => started.push(args[0] ?? ""),
    });
    expect(await opened.findCheckout("main")).toBe(repository.path);
    expect(await opened.findCheckout("other")).toBe(linked);
    expect(await opened.findCheckout("third")).toBeNull();
    expect(started).toEqual(["rev-parse", "worktree", "worktree", "worktree"]);
  });

  test("finds none where the head is detached, the repository bare or the worktree gone", async () => {
    await using repository = await makeGitRepository();
    const linked = join(repository.folder, "linked");
    await repository.git("worktree", "add", "--quiet", linked, "-b", "other");
    await rm(linked, { recursive: true });
    await repository.git("checkout", "--quiet", "--detach");
    await using opened = await repository.open();
    expect(await opened.findCheckout("main")).toBeNull();
    expect(await opened.findCheckout("other")).toBeNull();
    const bare = join(repository.folder, "bare.git");
    await repository.gitIn(repository.folder, [
      "clone",
      "--quiet",
      "--bare",
      repository.path,
      bare,
    ]);
    await using openedBare = await repository.open({ path: bare });
    expect(await openedBare.findCheckout("main")).toBeNull();
  });

  test("finds the worktree that is rebasing the branch", async () => {
    await using repository = await makeGitRepository();
    const other = await repository.commitOn(repository.base, { "src/app.txt": "theirs\n" });
    await repository.commit({ "src/app.txt": "ours\n" });
    await repository.git("rebase", other).catch(() => undefined);
    expect(await repository.git("branch", "--show-current")).toBe("");
    await using opened = await repository.open();
    expect(await opened.findCheckout("main")).toBe(repository.path);
    const state = await opened.inspectCheckout(repository.path);
    expect(state).toEqual({ kind: "busy", operation: "rebase" });
  });

  test("finds a worktree whose git directory is elsewhere", async () => {
    await using repository = await makeGitRepository();
    await repository.git(
      "init",
      "--quiet",
      `--separate-git-dir=${join(repository.folder, "store")}`,
    );
    await using opened = await repository.open();
    expect(opened.gitDir).toBe(join(repository.folder, "store"));
    expect(await opened.findCheckout("main")).toBe(repository.path);
    await using byStore = await repository.open({ path: opened.gitDir });
    await expect(byStore.findCheckout("main")).rejects.toMatchObject({
      failure: { code: "checkout-blocked" },
    });
  });

  test("refuses a branch that is checked out twice", async () => {
    await using repository = await makeGitRepository();
    const linked = join(repository.folder, "linked");
    await repository.git("worktree", "add", "--quiet", "--force", linked, "main");
    await using opened = await repository.open();
    await expect(opened.findCheckout("main")).rejects.toMatchObject({
      failure: { code: "checkout-blocked", details: { paths: [repository.path, linked] } },
    });
  });
});

describe("inspectCheckout", () => {
  test("is clean with untracked and ignored files, and runs no hook and no monitor", async () => {
    await using repository = await makeGitRepository();
    await repository.commit({ ".gitignore": "*.log\n" });
    await repository.write("untracked.txt", "u\n");
    await repository.write("a.log", "i\n");
    const hooksRun = await installTellTaleHooks(repository);
    await using opened = await repository.open();
    expect(await opened.inspectCheckout(repository.path)).toEqual({ kind: "clean" });
    expect(await hooksRun()).toBe("");
  });

  test("the monitor would have run for anybody else", async () => {
    await using repository = await makeGitRepository();
    const hooksRun = await installTellTaleHooks(repository);
    await repository.git("status");
    expect(await hooksRun()).toContain("fsmonitor-watchman");
  });

  test("is clean where files were touched and not changed", async () => {
    await using repository = await makeGitRepository();
    await utimes(join(repository.path, "README.md"), 1, 1);
    await using opened = await repository.open();
    expect(await opened.inspectCheckout(repository.path)).toEqual({ kind: "clean" });
  });

  test("names changed paths, staged or not, deleted and renamed ones too", async () => {
    await using repository = await makeGitRepository();
    await repository.commit({ "a b\nc.txt": "x\n", "mode.sh": "x\n", "old.txt": "some text\n" });
    await repository.write("a b\nc.txt", "y\n");
    await repository.write("staged ä.txt", "s\n");
    await repository.git("add", "staged ä.txt");
    await repository.git("mv", "old.txt", "new.txt");
    await chmod(join(repository.path, "mode.sh"), 0o755);
    await rm(join(repository.path, "src/app.txt"));
    await using opened = await repository.open();
    const state = await opened.inspectCheckout(repository.path);
    if (state.kind !== "dirty") throw new Error("it should be dirty");
    expect([...state.paths].toSorted()).toEqual(
      ["a b\nc.txt", "mode.sh", "new.txt", "old.txt", "src/app.txt", "staged ä.txt"].toSorted(),
    );
  });

  test.each([
    ["merge", ["merge", "other"]],
    ["cherry-pick", ["cherry-pick", "other"]],
    ["revert", ["revert", "main~1"]],
  ])("is busy in the middle of a %s, in a linked worktree too", async (operation, command) => {
    await using repository = await makeGitRepository();
    const other = await repository.commitOn(repository.base, { "src/app.txt": "theirs\n" });
    await repository.git("branch", "other", other);
    await repository.commit({ "src/app.txt": "ours\n" });
    await repository.commit({ "src/app.txt": "ours again\n" });
    const linked = join(repository.folder, "linked");
    await repository.git("worktree", "add", "--quiet", linked, "-b", "work", "main");
    await repository.gitIn(linked, command).catch(() => undefined);
    await using opened = await repository.open();
    expect(await opened.inspectCheckout(linked)).toEqual({ kind: "busy", operation });
    expect(await opened.inspectCheckout(repository.path)).toEqual({ kind: "clean" });
    await writeIn(linked, "src/app.txt", "x\n");
    expect(await opened.inspectCheckout(linked)).toEqual({ kind: "busy", operation });
  });

  test("refuses a checkout that is not there", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    const looking = opened.inspectCheckout(join(repository.folder, "nothing"));
    await expect(looking).rejects.toMatchObject({ failure: { code: "repository-missing" } });
  });
});
