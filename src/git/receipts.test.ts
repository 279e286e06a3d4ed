import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  installTellTaleHooks,
  makeEagerClock,
  makeGitRepository,
  type TestRepository,
} from "../../test/support/git-repository.ts";
import { RECEIPTS_REF } from "./receipts.ts";

const JSON_TEXT = '{"v":1,"name":"wörk\\n"}';

/** Many commits with one process. */
async function makeCommits(repository: TestRepository, count: number): Promise<readonly string[]> {
  const commits = Array.from({ length: count }, (_, index) =>
    [
      "commit refs/heads/many",
      `committer T <t@example.invalid> ${index} +0000`,
      "data 1\nx",
      ...(index === 0 ? [`from ${repository.base}`] : []),
    ].join("\n"),
  );
  await repository.gitIn(repository.path, ["fast-import", "--quiet"], `${commits.join("\n\n")}\n`);
  const log = await repository.git("rev-list", `--max-count=${count}`, "many");
  return log.split("\n");
}

describe("receipts", () => {
  test("are notes that git shows, written by one process and no hook", async () => {
    await using repository = await makeGitRepository();
    const second = await repository.commit({ "new.txt": "n\n" });
    const hooksRun = await installTellTaleHooks(repository);
    const started: string[] = [];
    await using opened = await repository.open({ onStart: (args) => started.push(args[0] ?? "") });
    await opened.writeReceipts([
      { commit: repository.base, json: JSON_TEXT },
      { commit: second, json: '{"second":true}' },
    ]);
    expect(started).toEqual(["rev-parse", "cat-file", "fast-import"]);
    expect(await hooksRun()).toBe("");
    expect(await opened.readReceipt(repository.base)).toBe(JSON_TEXT);
    const shown = await repository.git("notes", "--ref=mycelium", "show", second);
    expect(shown).toBe('{"second":true}');
  });

  test("are null where there is none", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    expect(await opened.readReceipt(repository.base)).toBeNull();
    await opened.writeReceipts([]);
    expect(await opened.listRefs("refs/notes")).toEqual([]);
    const second = await repository.commit({ "new.txt": "n\n" });
    await opened.writeReceipts([{ commit: second, json: "{}" }]);
    expect(await opened.readReceipt(repository.base)).toBeNull();
  });

  test("are replaced when written again, and others are kept", async () => {
    await using repository = await makeGitRepository();
    const second = await repository.commit({ "new.txt": "n\n" });
    await using opened = await repository.open();
    await opened.writeReceipts([{ commit: repository.base, json: "1" }]);
    await opened.writeReceipts([{ commit: second, json: "2" }]);
    await opened.writeReceipts([{ commit: second, json: "3" }]);
    expect(await opened.readReceipt(repository.base)).toBe("1");
    expect(await opened.readReceipt(second)).toBe("3");
    const notes = await repository.git("notes", "--ref=mycelium", "list");
    expect(notes.split("\n")).toHaveLength(2);
  });

  test("are found among a thousand, beside those of people", async () => {
    await using repository = await makeGitRepository();
    const commits = await makeCommits(repository, 1_000);
    await repository.git("notes", "--ref=mycelium", "add", "-m", "by hand", repository.base);
    await using opened = await repository.open();
    const receipts = commits.map((commit) => ({ commit, json: `{"of":"${commit}"}` }));
    await opened.writeReceipts(receipts.slice(0, 990));
    await opened.writeReceipts(receipts.slice(990));
    const notes = await repository.git("notes", "--ref=mycelium", "list");
    expect(notes.split("\n")).toHaveLength(1_001);
    for (const receipt of [receipts[0], receipts[500], receipts[999]]) {
      expect(await opened.readReceipt(receipt?.commit ?? "")).toBe(receipt?.json);
    }
    expect(await opened.readReceipt(repository.base)).toBe("by hand\n");
  });

  test("of several writers at once are all kept", async () => {
    await using repository = await makeGitRepository();
    const commits = await makeCommits(repository, 12);
    const one = await repository.open();
    const other = await repository.open();
    await Promise.all(
      commits.map((commit, index) =>
        (index % 2 === 0 ? one : other).writeReceipts([{ commit, json: commit }]),
      ),
    );
    const read = await Promise.all(commits.map((commit) => one.readReceipt(commit)));
    expect(read).toEqual(commits);
    await one.close();
    await other.close();
  });

  test("are refused where a lock was left, with its path", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open({ clock: makeEagerClock() });
    await opened.writeReceipts([{ commit: repository.base, json: "1" }]);
    const lockPath = join(repository.path, `.git/${RECEIPTS_REF}.lock`);
    await writeFile(lockPath, "");
    const writing = opened.writeReceipts([{ commit: repository.base, json: "2" }]);
    await expect(writing).rejects.toMatchObject({
      failure: { code: "ref-locked", hint: expect.stringContaining(lockPath) },
    });
    expect(await opened.readReceipt(repository.base)).toBe("1");
  });

  test("of a commit that is not there are refused", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    const writing = opened.writeReceipts([{ commit: "1".repeat(40), json: "{}" }]);
    await expect(writing).rejects.toMatchObject({ failure: { code: "git-failed" } });
    expect(await opened.listRefs("refs/notes")).toEqual([]);
  });

  test("work in a repository of SHA-256 objects", async () => {
    await using repository = await makeGitRepository({ objectFormat: "sha256" });
    await using opened = await repository.open();
    await opened.writeReceipts([{ commit: repository.base, json: JSON_TEXT }]);
    expect(await opened.readReceipt(repository.base)).toBe(JSON_TEXT);
  });
});
