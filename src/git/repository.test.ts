import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeGitRepository } from "../../test/support/git-repository.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";

describe("openRepository", () => {
  test("finds the repository of any folder in it, with one process", async () => {
    await using repository = await makeGitRepository();
    const started: string[] = [];
    const path = join(repository.path, "src");
    const onStart = (args: readonly string[]): number => started.push(args[0] ?? "");
    await using opened = await repository.open({ path, onStart });
    expect(opened.gitDir).toBe(join(repository.path, ".git"));
    expect(opened.topLevel).toBe(repository.path);
    expect(opened.objectFormat).toBe("sha1");
    expect(started).toEqual(["rev-parse"]);
  });

  test("knows a linked worktree by the main repository's folder", async () => {
    await using repository = await makeGitRepository();
    const linked = join(repository.folder, "linked");
    await repository.git("worktree", "add", "--quiet", linked, "-b", "other");
    await using opened = await repository.open({ path: linked });
    expect(opened.gitDir).toBe(join(repository.path, ".git"));
    expect(opened.topLevel).toBe(linked);
  });

  test("opens a bare repository", async () => {
    await using repository = await makeGitRepository();
    const bare = join(repository.folder, "bare.git");
    await repository.gitIn(repository.folder, [
      "clone",
      "--quiet",
      "--bare",
      repository.path,
      bare,
    ]);
    await using opened = await repository.open({ path: bare });
    expect(opened).toMatchObject({ gitDir: bare, topLevel: null });
    expect((await opened.branchTip("main"))?.commit).toBe(repository.base);
  });

  test("opens a repository of SHA-256 objects", async () => {
    await using repository = await makeGitRepository({ objectFormat: "sha256" });
    await using opened = await repository.open();
    expect(opened.objectFormat).toBe("sha256");
    expect((await opened.branchTip("main"))?.commit).toMatch(/^[0-9a-f]{64}$/);
  });

  test("opens a repository with spaces, line ends and other letters in its path", async () => {
    await using repository = await makeGitRepository({ name: "a b\nwörk" });
    await using opened = await repository.open();
    expect(opened.topLevel).toBe(repository.path);
    expect(opened.gitDir).toBe(join(repository.path, ".git"));
  });

  test("refuses a folder that is in no repository, with what to do", async () => {
    await using repository = await makeGitRepository();
    await using elsewhere = await temporaryFolder();
    const opening = repository.open({ path: elsewhere.path });
    await expect(opening).rejects.toMatchObject({
      failure: { code: "repository-missing", hint: expect.stringContaining("git init") },
    });
    const missing = repository.open({ path: join(elsewhere.path, "nothing") });
    await expect(missing).rejects.toMatchObject({ failure: { code: "repository-missing" } });
  });
});

describe("reading", () => {
  test("sees a branch move, by one process for all questions", async () => {
    await using repository = await makeGitRepository();
    const started: string[] = [];
    await using opened = await repository.open({ onStart: (args) => started.push(args[0] ?? "") });
    expect(await opened.branchTip("main")).toMatchObject({ commit: repository.base, parents: [] });
    const next = await repository.commit({ "new.txt": "new\n" }, "next\n\nbody\n");
    const tip = await opened.branchTip("main");
    expect(tip).toMatchObject({
      commit: next,
      parents: [repository.base],
      message: "next\n\nbody\n",
    });
    expect(tip?.tree).toBe(await repository.git("rev-parse", "HEAD^{tree}"));
    await repository.git("pack-refs", "--all", "--prune");
    await repository.git("gc", "--quiet", "--prune=now");
    expect((await opened.branchTip("main"))?.commit).toBe(next);
    expect(started).toEqual(["rev-parse", "cat-file"]);
  });

  test("answers null for branches that are not there or cannot be", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    const names = [
      "no-such",
      "",
      "-x",
      "main^{commit}",
      "main~1",
      "a b",
      "a..b",
      "x.lock",
      "a\nb",
      "@{-1}",
    ];
    const tips = await Promise.all(names.map((name) => opened.branchTip(name)));
    expect(tips).toEqual(names.map(() => null));
  });

  test("answers null for objects that are not there or are no commits", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    expect(await opened.readCommit("1".repeat(40))).toBeNull();
    expect(await opened.readCommit(await repository.git("rev-parse", "HEAD^{tree}"))).toBeNull();
  });

  test("knows what a commit stands on", async () => {
    await using repository = await makeGitRepository();
    const next = await repository.commit({ "new.txt": "new\n" });
    await using opened = await repository.open();
    const { base } = repository;
    expect(await opened.isAncestor({ ancestor: base, descendant: next })).toBe(true);
    expect(await opened.isAncestor({ ancestor: next, descendant: base })).toBe(false);
    const unknown = opened.isAncestor({ ancestor: "1".repeat(40), descendant: base });
    await expect(unknown).rejects.toMatchObject({ failure: { code: "git-failed" } });
  });

  test("lists every tracked path, whatever is in its name", async () => {
    await using repository = await makeGitRepository();
    const names = ["a b.txt", "line\nend.txt", 'quote".txt', "tab\t.txt", "wörk/日本.txt"];
    const commit = await repository.commit(Object.fromEntries(names.map((name) => [name, "x\n"])));
    await mkdir(join(repository.path, "empty"));
    await using opened = await repository.open();
    expect(new Set(await opened.listFiles(commit))).toEqual(
      new Set([...names, "README.md", "src/app.txt"]),
    );
  });

  test("takes nothing but whole object ids for objects", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    await expect(opened.listFiles("--help")).rejects.toThrow("not an object id");
    await expect(opened.listFiles("main")).rejects.toThrow("not an object id");
  });

  test("serves on after close, and may be closed twice", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    await opened.close();
    expect((await opened.branchTip("main"))?.commit).toBe(repository.base);
    await opened.close();
    await opened.close();
  });
});
