import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  installTellTaleHooks,
  makeEagerClock,
  makeGitRepository,
  type TestRepository,
} from "../../test/support/git-repository.ts";

const RUN_REF = "refs/mycelium/runs/r1";

/** A commit beside `main`, for it to be moved to. */
function makeNext(repository: TestRepository, name = "next.txt"): Promise<string> {
  return repository.commitOn(repository.base, { [name]: "n\n" });
}

async function refsOf(repository: TestRepository): Promise<readonly string[]> {
  return (await repository.git("for-each-ref", "--format=%(refname)")).split("\n");
}

describe("moveBranch", () => {
  test("moves the branch and drops refs, in one process, without any hook", async () => {
    await using repository = await makeGitRepository();
    const to = await makeNext(repository);
    await repository.git("update-ref", `${RUN_REF}/t1`, to);
    await repository.git("update-ref", `${RUN_REF}/t2`, to);
    await repository.git("pack-refs", "--all");
    const hooksRun = await installTellTaleHooks(repository);
    const started: string[] = [];
    await using opened = await repository.open({ onStart: (args) => started.push(args[0] ?? "") });
    const moved = await opened.moveBranch({
      branch: "main",
      from: repository.base,
      to,
      deleteRefs: [`${RUN_REF}/t1`, `${RUN_REF}/t2`, `${RUN_REF}/gone-already`],
      message: "mycelium: landed\nt1, t2",
    });
    expect(moved).toEqual({ kind: "moved" });
    expect(started).toEqual(["rev-parse", "update-ref"]);
    expect(await hooksRun()).toBe("");
    expect(await repository.git("rev-parse", "main")).toBe(to);
    expect(await refsOf(repository)).toEqual(["refs/heads/main"]);
    const reflog = await repository.git("reflog", "-1", "--format=%gn: %gs", "main");
    expect(reflog).toBe("Mycelium: mycelium: landed t1, t2");
  });

  test("the hooks would have run for anybody else", async () => {
    await using repository = await makeGitRepository();
    const hooksRun = await installTellTaleHooks(repository);
    await repository.git("update-ref", `${RUN_REF}/t1`, repository.base);
    expect(await hooksRun()).toContain("reference-transaction");
  });

  test("is outrun where somebody else has moved the branch, and changes nothing", async () => {
    await using repository = await makeGitRepository();
    const to = await makeNext(repository);
    const found = await repository.commit({ "person.txt": "p\n" });
    await repository.git("update-ref", `${RUN_REF}/t1`, to);
    await using opened = await repository.open();
    const deleteRefs = [`${RUN_REF}/t1`];
    const request = { branch: "main", from: repository.base, to, deleteRefs, message: "m" };
    expect(await opened.moveBranch(request)).toEqual({ kind: "outrun", found });
    expect(await repository.git("rev-parse", "main")).toBe(found);
    expect(await refsOf(repository)).toContain(`${RUN_REF}/t1`);
  });

  test("is outrun where the branch is gone", async () => {
    await using repository = await makeGitRepository();
    const to = await makeNext(repository);
    await using opened = await repository.open();
    const request = { branch: "other", from: repository.base, to, message: "m" };
    expect(await opened.moveBranch(request)).toEqual({ kind: "outrun", found: null });
    expect(await refsOf(repository)).toEqual(["refs/heads/main"]);
  });

  test("of many who move it at once exactly one wins, and the others see who", async () => {
    await using repository = await makeGitRepository();
    const names = ["a", "b", "c", "d", "e", "f"];
    const commits: string[] = [];
    for (const name of names) commits.push(await makeNext(repository, name));
    await using one = await repository.open();
    await using other = await repository.open();
    const outcomes = await Promise.all(
      commits.map((to, index) =>
        (index % 2 === 0 ? one : other).moveBranch({
          branch: "main",
          from: repository.base,
          to,
          message: "race",
        }),
      ),
    );
    const winner = await repository.git("rev-parse", "main");
    const expected = commits.map((to) =>
      to === winner ? { kind: "moved" } : { kind: "outrun", found: winner },
    );
    expect(commits).toContain(winner);
    expect(outcomes).toEqual(expected);
  });

  test("may be repeated after it was done, and drops the refs that were left", async () => {
    await using repository = await makeGitRepository();
    const to = await makeNext(repository);
    await repository.git("update-ref", "refs/heads/main", to);
    await repository.git("update-ref", `${RUN_REF}/t1`, to);
    await using opened = await repository.open();
    const deleteRefs = [`${RUN_REF}/t1`];
    const request = { branch: "main", from: repository.base, to, deleteRefs, message: "m" };
    expect(await opened.moveBranch(request)).toEqual({ kind: "moved" });
    expect(await refsOf(repository)).toEqual(["refs/heads/main"]);
  });

  test.each(["refs/heads/main.lock", "HEAD.lock", "packed-refs.lock"])(
    "gives up on a leftover %s after a bounded time, and says where it is",
    async (name) => {
      await using repository = await makeGitRepository();
      const to = await makeNext(repository);
      await repository.git("update-ref", `${RUN_REF}/t1`, to);
      const lockPath = join(repository.path, ".git", name);
      await writeFile(lockPath, "");
      let waitedMs = 0;
      const clock = makeEagerClock((ms) => {
        waitedMs += ms;
      });
      await using opened = await repository.open({ clock });
      const deleteRefs = [`${RUN_REF}/t1`];
      const request = { branch: "main", from: repository.base, to, deleteRefs, message: "m" };
      const outcome = await opened.moveBranch(request);
      expect(outcome).toEqual({ kind: "locked", lockPath, message: `${lockPath} is there` });
      expect(waitedMs).toBeGreaterThan(1_000);
      expect(waitedMs).toBeLessThan(10_000);
      expect(existsSync(lockPath)).toBe(true);
      expect(await repository.git("rev-parse", "main")).toBe(repository.base);
      expect(await refsOf(repository)).toContain(`${RUN_REF}/t1`);
    },
  );

  test("waits for a lock that is let go", async () => {
    await using repository = await makeGitRepository();
    const to = await makeNext(repository);
    const lockPath = join(repository.path, ".git/refs/heads/main.lock");
    await writeFile(lockPath, "");
    let sleeps = 0;
    const clock = makeEagerClock(async () => {
      sleeps += 1;
      if (sleeps === 3) await rm(lockPath);
    });
    await using opened = await repository.open({ clock });
    const request = { branch: "main", from: repository.base, to, message: "m" };
    expect(await opened.moveBranch(request)).toEqual({ kind: "moved" });
    expect(sleeps).toBe(3);
  });

  test("refuses a commit that is not there", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    const to = "1".repeat(40);
    const moving = opened.moveBranch({ branch: "main", from: repository.base, to, message: "m" });
    await expect(moving).rejects.toMatchObject({ failure: { code: "git-failed" } });
    expect(await repository.git("rev-parse", "main")).toBe(repository.base);
  });
});

describe("other refs", () => {
  test("many are set, listed and deleted by one process each", async () => {
    await using repository = await makeGitRepository();
    const refs = ["a", "b", "c"].map((name) => ({
      ref: `${RUN_REF}/${name}`,
      id: repository.base,
    }));
    const started: string[] = [];
    await using opened = await repository.open({ onStart: (args) => started.push(args[0] ?? "") });
    await opened.setRefs(refs);
    await opened.setRefs(refs);
    await opened.setRefs([{ ref: "refs/mycelium/runs/r10/a", id: repository.base }]);
    expect(await opened.listRefs(RUN_REF)).toEqual(refs);
    await opened.deleteRefs(refs.map(({ ref }) => ref));
    await opened.deleteRefs(refs.map(({ ref }) => ref));
    expect(await opened.listRefs(RUN_REF)).toEqual([]);
    expect(await opened.listRefs("refs/mycelium")).toHaveLength(1);
    await opened.setRefs([]);
    expect(started.filter((name) => name === "update-ref")).toHaveLength(5);
  });

  test("a leftover lock is refused with its path", async () => {
    await using repository = await makeGitRepository();
    await repository.git("update-ref", `${RUN_REF}/a`, repository.base);
    const lockPath = join(repository.path, `.git/${RUN_REF}/a.lock`);
    await writeFile(lockPath, "");
    await using opened = await repository.open({ clock: makeEagerClock() });
    await expect(opened.deleteRefs([`${RUN_REF}/a`])).rejects.toMatchObject({
      failure: { code: "ref-locked", hint: expect.stringContaining(lockPath) },
    });
  });

  test("names that git would not take are a bug of ours", async () => {
    await using repository = await makeGitRepository();
    await using opened = await repository.open();
    for (const ref of ["main", "refs/a..b", "refs/a b", "refs/a.lock", "refs/a\0b", "refs/x/"]) {
      await expect(opened.deleteRefs([ref])).rejects.toThrow("not the name of a ref");
    }
  });
});
