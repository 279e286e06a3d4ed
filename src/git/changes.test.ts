import { chmod, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeGitRepository } from "../../test/support/git-repository.ts";
import { findStrayRepositories } from "./changes.ts";

const NOTHING = "0".repeat(40);

describe("findStrayRepositories", () => {
  test("names repositories inside of this one, unless .gitmodules came with them", async () => {
    await using repository = await makeGitRepository();
    const { path, base } = repository;
    await repository.git("init", "--quiet", "nested");
    await repository.gitIn(join(path, "nested"), ["commit", "-q", "--allow-empty", "-m", "inner"]);
    const stray = await repository.commit({ "plain.txt": "x\n" });
    await using opened = await repository.open();
    expect(findStrayRepositories(await opened.listChanges(base, stray))).toEqual(["nested"]);
    const described = await repository.commit({ ".gitmodules": '[submodule "nested"]\n' });
    expect(findStrayRepositories(await opened.listChanges(base, described))).toEqual([]);
    await repository.gitIn(join(path, "nested"), ["commit", "-q", "--allow-empty", "-m", "more"]);
    const moved = await repository.commit({});
    expect(findStrayRepositories(await opened.listChanges(described, moved))).toEqual([]);
  });
});

describe("listChanges", () => {
  test("tells what was added, modified, deleted and changed in type, with modes and ids", async () => {
    await using repository = await makeGitRepository();
    const { path } = repository;
    const base = await repository.commit({
      "gone.txt": "x\n",
      "turned.txt": "x\n",
      "run.sh": "x\n",
    });
    await rm(join(path, "turned.txt"));
    await symlink("README.md", join(path, "turned.txt"));
    await chmod(join(path, "run.sh"), 0o755);
    const commit = await repository.commit({
      "gone.txt": null,
      "new.txt": "n\n",
      "README.md": "r\n",
    });
    await using opened = await repository.open();
    const changes = await opened.listChanges(base, commit);
    const idOf = (file: string): Promise<string> => repository.git("rev-parse", `HEAD:${file}`);
    expect(
      changes.map(({ path: name, status, oldMode, newMode }) => [name, status, oldMode, newMode]),
    ).toEqual([
      ["README.md", "modified", "100644", "100644"],
      ["gone.txt", "deleted", "100644", "000000"],
      ["new.txt", "added", "000000", "100644"],
      ["run.sh", "modified", "100644", "100755"],
      ["turned.txt", "type-changed", "100644", "120000"],
    ]);
    expect(changes[2]).toMatchObject({ oldId: NOTHING, newId: await idOf("new.txt") });
    expect(changes[1]?.newId).toBe(NOTHING);
  });

  test("tells a rename as a deletion and an addition", async () => {
    await using repository = await makeGitRepository();
    await repository.git("config", "diff.renames", "copies");
    await repository.git("mv", "src/app.txt", "src/moved.txt");
    const commit = await repository.commit({});
    await using opened = await repository.open();
    const changes = await opened.listChanges(repository.base, commit);
    expect(changes.map(({ path, status }) => [path, status])).toEqual([
      ["src/app.txt", "deleted"],
      ["src/moved.txt", "added"],
    ]);
  });

  test("compares with any commit, not only a parent, by one process", async () => {
    await using repository = await makeGitRepository();
    const first = await repository.commit({ "first.txt": "1\n" });
    const second = await repository.commit({ "second.txt": "2\n" });
    const other = await repository.commitOn(repository.base, { "other.txt": "o\n" });
    const started: string[] = [];
    await using opened = await repository.open({ onStart: (args) => started.push(args[0] ?? "") });
    const pathsOf = async (base: string, commit: string): Promise<readonly string[]> =>
      (await opened.listChanges(base, commit)).map(({ path }) => path);
    expect(await pathsOf(repository.base, second)).toEqual(["first.txt", "second.txt"]);
    expect(await pathsOf(first, second)).toEqual(["second.txt"]);
    expect(await pathsOf(second, other)).toEqual(["first.txt", "other.txt", "second.txt"]);
    expect(await pathsOf(second, second)).toEqual([]);
    expect(await pathsOf(repository.base, second)).toEqual(["first.txt", "second.txt"]);
    expect(started).toEqual(["rev-parse", "diff-tree"]);
  });

  test("sees commits that were made after it was started", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    expect(await opened.listChanges(repository.base, repository.base)).toEqual([]);
    const commit = await repository.commit({ "late.txt": "late\n" });
    await repository.git("gc", "--quiet", "--prune=now");
    expect(await opened.listChanges(repository.base, commit)).toHaveLength(1);
  });

  test("keeps odd names whole, even those that look like its own protocol", async () => {
    await using repository = await makeGitRepository();
    const names = [
      "a b",
      "line\nend",
      ":100644 100644",
      `end of ${repository.base}\nx`,
      "wörk/日本",
    ];
    const commit = await repository.commit(Object.fromEntries(names.map((name) => [name, "x\n"])));
    await using opened = await repository.open();
    const changes = await opened.listChanges(repository.base, commit);
    expect(new Set(changes.map(({ path }) => path))).toEqual(new Set(names));
  });

  test("shows a submodule that a worker tells git to overlook", async () => {
    await using repository = await makeGitRepository();
    const hide = '[submodule "s"]\n\tpath = s\n\turl = ./s\n\tignore = all\n';
    await repository.write(".gitmodules", hide);
    await repository.git("config", "diff.ignoreSubmodules", "all");
    await repository.git("add", ".gitmodules");
    await repository.git("update-index", "--add", "--cacheinfo", `160000,${repository.base},s`);
    await repository.git("commit", "--quiet", "-m", "submodule");
    const commit = await repository.git("rev-parse", "HEAD");
    await using opened = await repository.open();
    const changes = await opened.listChanges(repository.base, commit);
    expect(changes.map(({ path, newMode }) => [path, newMode])).toEqual([
      [".gitmodules", "100644"],
      ["s", "160000"],
    ]);
  });

  test("refuses unknown commits instead of finding nothing, and answers the next question", async () => {
    await using repository = await makeGitRepository();
    const commit = await repository.commit({ "new.txt": "n\n" });
    const unknown = "1".repeat(40);
    await using opened = await repository.open();
    const refused = { failure: { code: "git-failed" } };
    await expect(opened.listChanges(unknown, commit)).rejects.toMatchObject(refused);
    await expect(opened.listChanges(commit, unknown)).rejects.toMatchObject(refused);
    const tree = await repository.git("rev-parse", "HEAD^{tree}");
    await expect(opened.listChanges(commit, tree)).rejects.toMatchObject(refused);
    expect(await opened.listChanges(repository.base, commit)).toHaveLength(1);
  });

  test("is started again when it dies", async () => {
    await using repository = await makeGitRepository();
    const commit = await repository.commit({ "new.txt": "n\n" });
    const pids = join(repository.folder, "pids");
    const program = join(repository.folder, "program");
    await writeFile(program, `#!/bin/sh\necho $$ > '${pids}'\nexec git "$@"\n`, { mode: 0o755 });
    await using opened = await repository.open({ program });
    expect(await opened.listChanges(repository.base, commit)).toHaveLength(1);
    process.kill(Number(await readFile(pids, "utf8")), "SIGKILL");
    expect(await opened.listChanges(repository.base, commit)).toHaveLength(1);
  });

  test("compares in a repository of SHA-256 objects", async () => {
    await using repository = await makeGitRepository({ objectFormat: "sha256" });
    const commit = await repository.commit({ "new.txt": "n\n" });
    await using opened = await repository.open();
    const [change] = await opened.listChanges(repository.base, commit);
    expect(change).toMatchObject({ path: "new.txt", oldId: "0".repeat(64) });
  });
});
