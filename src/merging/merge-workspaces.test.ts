import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeLasting, value } from "../../test/support/lasting-rig.ts";
import { localRig } from "../../test/support/local-rig.ts";
import { ENV, output, sh } from "../../test/support/workspace-rig.ts";
import { systemClock } from "../lib/clock.ts";
import type { LastingWorkspace } from "../workspaces/lasting-workspace.ts";
import type { MergeStrategy } from "./merge-report.ts";
import { mergeWorkspaces, type MergeRequest } from "./merge-workspaces.ts";

const BYTES_MAX = 128 * 1024 * 1024;

const INIT = [
  "git init -q -b main",
  "git config user.email test@example.invalid",
  "git config user.name Test",
  "printf 'one\\ntwo\\nthree\\n' > base.txt",
  "git add . && git commit -qm init",
  "echo more >> base.txt && git commit -qam 'second, so that there is a history'",
].join(" && ");

/** A target with a history, and so many forks of it. */
async function makeForks(count: number) {
  const rig = await localRig();
  const target = await makeLasting(rig, null, "target");
  await output(target, INIT);
  value(await target.snapshot("golden"));
  const ids = Array.from({ length: count }, (_, at) => ({ id: `w${at + 1}`, env: ENV }));
  const forks = (await rig.provider.fork("target@golden", ids)).map(value);
  const folder = join(rig.root, "../merging");
  const merge = (sources: readonly LastingWorkspace[], more: Partial<MergeRequest> = {}) =>
    mergeWorkspaces({
      sources: sources.map((workspace) => ({ name: workspace.id, place: { workspace } })),
      target: { workspace: target },
      strategy: "sequential",
      allowPartial: false,
      dryRun: false,
      means: {
        folder,
        env: { PATH: ENV.PATH, HOME: rig.root },
        clock: systemClock,
        bytesMax: BYTES_MAX,
      },
      ...more,
    });
  return { target, forks, merge, folder, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

const commit = (workspace: LastingWorkspace, file: string, text: string, message = `add ${file}`) =>
  output(workspace, `printf '${text}' > '${file}' && git add . && git commit -qm '${message}'`);

test("commits that are larger than the limit are not merged, and others are", async () => {
  await using made = await makeForks(2);
  const { target, merge, folder } = made;
  const [small, large] = made.forks as [LastingWorkspace, LastingWorkspace];
  await commit(small, "small.txt", "small");
  await output(
    large,
    "head -c 20000 /dev/urandom > large.bin && git add . && git commit -qm large",
  );
  const means = { env: { PATH: ENV.PATH, HOME: folder }, folder, clock: systemClock };
  const limited = { means: { ...means, bytesMax: 10_000 } };
  const whole = value(await merge([small, large], limited));
  expect(whole).toMatchObject({ outcome: "conflicts", sources: [{}, { status: "failed" }] });
  expect(whole.sources[1]?.message).toMatch(/w2 have \d{5} bytes as a pack.*MYCELIUM_MERGE_MB/);
  expect(await output(target, "ls")).toBe("base.txt");
  const part = value(await merge([small, large], { ...limited, allowPartial: true }));
  expect(part.outcome).toBe("landed");
  expect(await output(target, "ls")).toBe("base.txt\nsmall.txt");
  // Nothing of it is left in the workspace or on the host.
  expect(await output(large, `ls -A '${large.contextDir}'`)).not.toContain("bundle");
  expect(await readdir(folder)).toEqual([]);
  const none = await merge([small], { means: { ...means, bytesMax: 100 } });
  expect(none).toMatchObject({ ok: false, failure: { code: "merge-refused" } });
});

const STRATEGIES: readonly MergeStrategy[] = ["sequential", "branch-per-source", "cherry-pick"];

describe.each(STRATEGIES)("%s", (strategy) => {
  test("brings all commits of all sources into the target, with its files", async () => {
    await using made = await makeForks(3);
    const { target, merge } = made;
    const [one, two, three] = made.forks as [LastingWorkspace, LastingWorkspace, LastingWorkspace];
    await commit(one, "file1.txt", "merge1");
    await commit(one, "file1.txt", "merge1 again", "again");
    await commit(two, "base.txt", "ONE\\ntwo\\nthree\\nmore\\n", "first line");
    const report = value(await merge([one, two, three], { strategy }));
    expect(report).toMatchObject({
      outcome: "landed",
      commits: 3,
      sources: [
        { name: "w1", status: "merged", commits: 2 },
        { name: "w2", status: "merged", commits: 1 },
        { name: "w3", status: "nothing", commits: 0 },
      ],
    });
    expect(await output(target, "cat file1.txt base.txt")).toBe(
      "merge1 againONE\ntwo\nthree\nmore",
    );
    expect(await output(target, "git status --porcelain; git rev-parse HEAD")).toBe(report.after);
    expect(await output(target, "git fsck --strict 2>&1")).toBe("");
    expect(
      await output(target, "git branch --format='%(refname:short)' | grep -c merge/ || true"),
    ).toBe(strategy === "branch-per-source" ? "2" : "0");
    const identities = await output(target, "git log --format='%an <%ae> %cn <%ce>' HEAD~2..");
    expect(identities).not.toContain("<>");
    expect(value(await merge([one, two, three], { strategy }))).toMatchObject({
      outcome: "nothing",
    });
    expect(await readdir(made.folder)).toEqual([]);
  });

  test("with a conflict leaves the target as it was and says what and with whom", async () => {
    await using made = await makeForks(3);
    const { target, merge, forks } = made;
    const [one, two, three] = forks as [LastingWorkspace, LastingWorkspace, LastingWorkspace];
    await commit(one, "base.txt", "mine\\n");
    await commit(two, "other.txt", "fine");
    await commit(two, "base.txt", "yours\\n");
    await output(three, "git rm -q base.txt && git commit -qm gone");
    const before = await output(target, "git rev-parse HEAD; git for-each-ref");
    const report = value(await merge(forks, { strategy }));
    expect(report).toMatchObject({ outcome: "conflicts", after: null, commits: 0 });
    expect(report.sources).toMatchObject([
      { name: "w1", status: "merged" },
      { conflicts: [{ path: "base.txt", kind: "content", against: ["w1"] }] },
      { conflicts: [{ path: "base.txt", kind: "modify/delete", against: ["w1"] }] },
    ]);
    expect(await output(target, "git rev-parse HEAD; git for-each-ref")).toBe(before);
    expect(await output(target, "ls; git status --porcelain")).toBe("base.txt");

    const partial = value(await merge(forks, { strategy, allowPartial: true }));
    const picked = strategy === "cherry-pick" ? 1 : 0;
    expect(partial).toMatchObject({ outcome: "landed", commits: 1 + picked });
    expect(await output(target, "ls")).toBe(picked === 1 ? "base.txt\nother.txt" : "base.txt");
    expect(await output(target, "cat base.txt")).toBe("mine");
  });
});

describe("the target", () => {
  test("that went on meanwhile keeps what it has", async () => {
    await using made = await makeForks(1);
    await commit(made.forks[0] as LastingWorkspace, "a.txt", "a");
    await commit(made.target, "b.txt", "b");
    expect(value(await made.merge(made.forks))).toMatchObject({ outcome: "landed" });
    expect(await output(made.target, "ls; git log --format=%s")).toBe(
      "a.txt\nb.txt\nbase.txt\nadd a.txt\nadd b.txt\nsecond, so that there is a history\ninit",
    );
  });

  test("is refused with changes that are not committed, or files in the way", async () => {
    await using made = await makeForks(1);
    const { target, merge, forks } = made;
    await commit(forks[0] as LastingWorkspace, "a.txt", "a");
    await output(target, "echo x > base.txt");
    expect(await merge(forks)).toMatchObject({
      failure: { code: "merge-refused", details: { dirty: ["base.txt"] } },
    });
    await output(target, "git checkout -q base.txt && echo own > a.txt && echo own > b.txt");
    const report = value(await merge(forks));
    expect(report).toMatchObject({ outcome: "refused", message: expect.stringContaining("a.txt") });
    expect(await output(target, "cat a.txt b.txt; git log --format=%s | head -n 1")).toBe(
      "own\nown\nsecond, so that there is a history",
    );
    await output(target, "rm a.txt");
    expect(value(await merge(forks))).toMatchObject({ outcome: "landed" });
    expect(await output(target, "cat a.txt b.txt")).toBe("aown");
  });

  test("is not changed by a dry run, which says the same as the merge", async () => {
    await using made = await makeForks(2);
    const { target, merge, forks } = made;
    for (const fork of forks) await commit(fork, `${fork.id}.txt`, "x");
    const before = await output(target, "git rev-parse HEAD; git count-objects");
    const dry = value(await merge(forks, { dryRun: true }));
    expect(dry).toMatchObject({ outcome: "dry-run", commits: 2 });
    expect(await output(target, "git rev-parse HEAD; git count-objects")).toBe(before);
    expect(value(await merge(forks))).toEqual({ ...dry, outcome: "landed" });
  });

  test("may have a detached HEAD", async () => {
    await using made = await makeForks(1);
    await output(made.target, "git checkout -q --detach");
    await commit(made.forks[0] as LastingWorkspace, "a.txt", "a");
    const report = value(await made.merge(made.forks, { strategy: "branch-per-source" }));
    expect(report).toMatchObject({ outcome: "landed" });
    expect(await output(made.target, "cat a.txt")).toBe("a");
  });

  test("runs nothing that a source's or its own repository names", async () => {
    await using made = await makeForks(1);
    const { target, merge, forks } = made;
    const [fork] = forks as [LastingWorkspace];
    await commit(fork, "a.txt", "a");
    const trap = `for hook in post-merge post-checkout reference-transaction pre-commit; do
      printf '#!/bin/sh\\ntouch "$HOME/ran"\\n' > .git/hooks/$hook; chmod +x .git/hooks/$hook; done
      git config core.fsmonitor 'touch "$HOME/ran"'`;
    for (const workspace of [fork, target]) await output(workspace, `mkdir -p .git/hooks; ${trap}`);
    expect(value(await merge(forks))).toMatchObject({ outcome: "landed" });
    for (const workspace of [fork, target]) {
      expect((await sh(workspace, 'test -e "$HOME/ran"')).ending).toMatchObject({ code: 1 });
    }
  });
});

test("a source without a repository or a relation is named, and others are not held up", async () => {
  await using made = await makeForks(3);
  const { merge, forks } = made;
  const [one, two, three] = forks as [LastingWorkspace, LastingWorkspace, LastingWorkspace];
  await output(one, "rm -rf .git");
  await output(two, `rm -rf .git && ${INIT} && git commit -q --amend -m other`);
  await output(two, "git checkout -q --orphan x && git commit -qm alone");
  await commit(three, "c.txt", "c");
  expect(value(await merge(forks)).sources).toMatchObject([
    { status: "failed", message: expect.stringContaining("no git repository") },
    { status: "conflict", conflicts: [{ kind: "unrelated-history" }] },
    { status: "merged" },
  ]);
  expect(value(await merge(forks, { allowPartial: true }))).toMatchObject({ outcome: "landed" });
  expect(await output(made.target, "cat c.txt")).toBe("c");
});

test("what a killed merge left on the host goes with the next one", async () => {
  await using made = await makeForks(1);
  await mkdir(join(made.folder, "dead"), { recursive: true });
  await writeFile(join(made.folder, "dead.lock"), "");
  value(await made.merge(made.forks));
  expect(await readdir(made.folder)).toEqual([]);
});

test("sources that touch different files always merge to all of their files", async () => {
  const change = fc.record({
    fork: fc.nat(1),
    file: fc.constantFrom("a", "b", "c"),
    text: fc.stringMatching(/^[a-z]{0,5}$/),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { maxLength: 6 }),
      fc.constantFrom(...STRATEGIES),
      async (changes, strategy) => {
        await using made = await makeForks(2);
        const expected = new Map<string, string>();
        for (const { fork, file, text } of changes) {
          const [workspace] = made.forks.slice(fork) as [LastingWorkspace];
          const path = `${workspace.id}-${file}`;
          await output(
            workspace,
            `printf '${text}' > ${path}; git add . && git commit -q --allow-empty -m x`,
          );
          expected.set(path, text);
        }
        const report = value(await made.merge(made.forks, { strategy }));
        expect(report.outcome).toBe(changes.length === 0 ? "nothing" : report.outcome);
        for (const [path, text] of expected) {
          expect(await output(made.target, `cat ${path}`)).toBe(text);
        }
        expect(await output(made.target, "git status --porcelain; git fsck 2>&1")).toBe("");
      },
    ),
    { numRuns: 8 },
  );
});
