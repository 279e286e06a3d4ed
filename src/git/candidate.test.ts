import { describe, expect, test } from "vitest";
import {
  installTellTaleHooks,
  makeGitRepository,
  type TestRepository,
} from "../../test/support/git-repository.ts";

const AUTHOR = { name: "Agent Ä", email: "agent@example.invalid" };

function lines(word: string): string {
  return `${word}\n`.repeat(50_000);
}

async function conflicting(repository: TestRepository): Promise<{ tip: string; commit: string }> {
  const commit = await repository.commitOn(repository.base, {
    "src/app.txt": "one\nTHEIRS\nthree\n",
  });
  const tip = await repository.commit({ "src/app.txt": "one\nOURS\nthree\n" });
  return { tip, commit };
}

describe("mergeInto", () => {
  test("merges what does not conflict, by one process, and changes nothing", async () => {
    await using repository = await makeGitRepository();
    const commit = await repository.commitOn(repository.base, { "theirs.txt": "t\n" });
    const tip = await repository.commit({ "src/app.txt": "ours\n" });
    await repository.write("README.md", "dirty\n");
    const before = await repository.git("status", "--porcelain");
    const started: string[] = [];
    await using opened = await repository.open({ onStart: (args) => started.push(args[0] ?? "") });
    const merged = await opened.mergeInto({ tip, commit });
    if (merged.kind !== "clean") throw new Error("it should be clean");
    const files = await repository.git("ls-tree", "-r", "--name-only", merged.tree);
    expect(files.split("\n")).toEqual(["README.md", "src/app.txt", "theirs.txt"]);
    expect(await repository.git("show", `${merged.tree}:src/app.txt`)).toBe("ours");
    expect(started).toEqual(["rev-parse", "merge-tree"]);
    expect(await repository.git("status", "--porcelain")).toBe(before);
  });

  test("answers the tip's own tree for what is in it already", async () => {
    await using repository = await makeGitRepository();
    const tip = await repository.commit({ "new.txt": "n\n" });
    await using opened = await repository.open();
    const merged = await opened.mergeInto({ tip, commit: repository.base });
    expect(merged).toEqual({
      kind: "clean",
      tree: await repository.git("rev-parse", "HEAD^{tree}"),
    });
  });

  test("shows a conflict with its paths, reasons and marked content", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    const merged = await opened.mergeInto(await conflicting(repository));
    if (merged.kind !== "conflict") throw new Error("it should conflict");
    expect(merged.paths).toEqual(["src/app.txt"]);
    expect(merged.text).toContain("CONFLICT (content): Merge conflict in src/app.txt");
    expect(merged.text).toContain(
      "+<<<<<<< the branch\n OURS\n+=======\n+THEIRS\n+>>>>>>> your change",
    );
  });

  test("tells of odd names, deletions and bytes that are no text", async () => {
    await using repository = await makeGitRepository();
    const base = await repository.commit({ "line\nend": "1\n", "b": "\0\0\0" });
    const commit = await repository.commitOn(base, { "line\nend": "2\n", "b": "\0\x01" });
    const tip = await repository.commit({ "line\nend": null, "b": "\0\x02" });
    await using opened = await repository.open();
    const merged = await opened.mergeInto({ tip, commit });
    if (merged.kind !== "conflict") throw new Error("it should conflict");
    expect(merged.paths).toEqual(["b", "line\nend"]);
    expect(merged.text).toContain("deleted in the branch and modified in your change");
    expect(merged.text).toContain("Cannot merge binary files: b");
  });

  test("keeps what it shows of a conflict short", async () => {
    await using repository = await makeGitRepository();
    const commit = await repository.commitOn(repository.base, { "src/app.txt": lines("theirs") });
    const tip = await repository.commit({ "src/app.txt": lines("ours") });
    await using opened = await repository.open();
    const merged = await opened.mergeInto({ tip, commit });
    if (merged.kind !== "conflict") throw new Error("it should conflict");
    expect(merged.text.length).toBeLessThan(17_000);
    expect(merged.text).toContain("more characters]");
  });

  test("refuses commits that are not there or have nothing in common", async () => {
    await using repository = await makeGitRepository();
    const { base } = repository;
    await using opened = await repository.open();
    const refused = { failure: { code: "git-failed" } };
    const unknown = opened.mergeInto({ tip: base, commit: "1".repeat(40) });
    await expect(unknown).rejects.toMatchObject(refused);
    const tree = await repository.git("rev-parse", "HEAD^{tree}");
    const orphan = await repository.git("commit-tree", "-m", "orphan", tree);
    await expect(opened.mergeInto({ tip: base, commit: orphan })).rejects.toMatchObject({
      failure: { code: "git-failed", message: expect.stringContaining("unrelated histories") },
    });
  });

  test("shows conflicts the same way whatever the user's settings are", async () => {
    await using repository = await makeGitRepository();
    await repository.git("config", "merge.conflictStyle", "diff3");
    await repository.git("config", "diff.noprefix", "true");
    await repository.git("config", "color.ui", "always");
    await using opened = await repository.open();
    const merged = await opened.mergeInto(await conflicting(repository));
    expect(merged).toMatchObject({ text: expect.not.stringContaining("|||||||") });
    expect(merged).toMatchObject({ text: expect.not.stringContaining("\u001B") });
  });
});

describe("commitTree", () => {
  test("writes the commit that is asked for, by one process, and moves nothing", async () => {
    await using repository = await makeGitRepository();
    await repository.git("config", "commit.gpgSign", "true");
    await repository.git("config", "i18n.commitEncoding", "latin1");
    const hooksRun = await installTellTaleHooks(repository);
    const { base } = repository;
    const tree = await repository.git("rev-parse", "HEAD^{tree}");
    const started: string[] = [];
    await using opened = await repository.open({ onStart: (args) => started.push(args[0] ?? "") });
    const message = "Do it: ä\n\n# not a comment\n\nMycelium-Run: r\n";
    const commit = await opened.commitTree({
      tree,
      parents: [base],
      message,
      author: AUTHOR,
      dateMs: Date.parse("2026-01-02T03:04:05.678Z"),
    });
    expect(started).toEqual(["rev-parse", "commit-tree"]);
    expect(await opened.readCommit(commit)).toMatchObject({ tree, parents: [base], message });
    await repository.git("config", "--unset", "i18n.commitEncoding");
    expect(await repository.git("log", "-1", "--format=%an %ae %aI|%cn %ce %cI", commit)).toBe(
      "Agent Ä agent@example.invalid 2026-01-02T03:04:05+00:00|" +
        "Mycelium mycelium@localhost 2026-01-02T03:04:05+00:00",
    );
    expect(await repository.git("rev-parse", "main")).toBe(base);
    expect(await hooksRun()).toBe("");
  });

  test("makes the same commit of the same request, with several parents too", async () => {
    await using repository = await makeGitRepository({ objectFormat: "sha256" });
    const second = await repository.commit({ "new.txt": "n\n" });
    const tree = await repository.git("rev-parse", "HEAD^{tree}");
    await using opened = await repository.open();
    const parents = [repository.base, second];
    const request = {
      tree,
      parents,
      message: "merge\n",
      author: AUTHOR,
      committer: AUTHOR,
      dateMs: 0,
    };
    const commit = await opened.commitTree(request);
    expect(await opened.commitTree(request)).toBe(commit);
    expect((await opened.readCommit(commit))?.parents).toEqual(parents);
    expect(await repository.git("log", "-1", "--format=%cn", commit)).toBe(AUTHOR.name);
  });
});
