import { existsSync } from "node:fs";
import { lstat, mkdir, readFile, readlink, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  installTellTaleHooks,
  makeEagerClock,
  makeGitRepository,
  type TestRepository,
} from "../../test/support/git-repository.ts";
import type { AdvanceOutcome } from "./advance-checkout.ts";
import type { Repository } from "./repository.ts";

/** A repository on `main`, and a commit that its checkout should follow to. */
interface Rig extends AsyncDisposable {
  readonly repository: TestRepository;
  readonly opened: Repository;
  readonly started: string[];
  readonly from: string;
  readonly to: string;
  /** Absolute, of a file in the checkout. */
  file(path: string): string;
  read(path: string): Promise<string>;
  advance(): Promise<AdvanceOutcome>;
  back(): Promise<AdvanceOutcome>;
  /** Whether index and files are exactly those of a commit. */
  isAt(commit: string): Promise<boolean>;
  status(): Promise<string>;
}

const BEFORE = {
  ".gitignore": "*.ignored\n",
  "edited.txt": "before\n",
  "removed.txt": "r\n",
  "turned/into.txt": "a file\n",
  "untouched.txt": "u\n",
};

const AFTER = {
  "edited.txt": "after\n",
  "removed.txt": null,
  "turned/into.txt": null,
  "turned": "now a file\n",
  "new folder/wörk\nend.txt": "new\n",
  "secret.ignored": "ours\n",
};

async function makeRig(after: Readonly<Record<string, string | null>> = AFTER): Promise<Rig> {
  const repository = await makeGitRepository();
  const from = await repository.commit(BEFORE);
  const to = await repository.commitOn(from, after);
  const started: string[] = [];
  const opened = await repository.open({
    clock: makeEagerClock(),
    onStart: (args) => started.push(args[0] ?? ""),
  });
  const { path } = repository;
  const file = (name: string): string => join(path, name);
  return {
    repository,
    opened,
    started,
    from,
    to,
    file,
    read: (name) => readFile(file(name), "utf8"),
    advance: () => opened.advanceCheckout({ path, from, to }),
    back: () => opened.advanceCheckout({ path, from: to, to: from }),
    isAt: async (commit) => {
      const different = await repository.git("diff-index", "--name-only", commit);
      return different === "" && (await repository.git("diff-index", "--cached", commit)) === "";
    },
    status: () => repository.git("status", "--porcelain", "--ignored"),
    [Symbol.asyncDispose]: async () => {
      await opened.close();
      await repository[Symbol.asyncDispose]();
    },
  };
}

const ADVANCED = { kind: "advanced" };

describe("advanceCheckout", () => {
  test("takes index and files to the commit and back, by one process and no hook", async () => {
    await using rig = await makeRig();
    await writeFile(rig.file("note.txt"), "mine\n");
    await writeFile(rig.file("mine.ignored"), "mine\n");
    const hooksRun = await installTellTaleHooks(rig.repository);
    expect(await rig.advance()).toEqual(ADVANCED);
    expect(rig.started).toEqual(["rev-parse", "diff-tree", "read-tree"]);
    expect(await hooksRun()).toBe("");
    await rig.repository.git("config", "--unset", "core.fsmonitor");
    expect(await rig.isAt(rig.to)).toBe(true);
    expect(await rig.read("turned")).toBe("now a file\n");
    expect(await rig.repository.git("rev-parse", "HEAD")).toBe(rig.from);
    expect(await rig.back()).toEqual(ADVANCED);
    expect(await rig.isAt(rig.from)).toBe(true);
    expect(await rig.status()).toBe("?? note.txt\n!! mine.ignored");
    expect(existsSync(rig.file("new folder"))).toBe(false);
  });

  test("the hooks would have run for anybody else", async () => {
    await using rig = await makeRig();
    const hooksRun = await installTellTaleHooks(rig.repository);
    await rig.repository.git("read-tree", "-m", "-u", rig.from, rig.to);
    expect(await hooksRun()).toContain("post-index-change");
  });

  test("works in a linked worktree and leaves the main one alone", async () => {
    await using rig = await makeRig();
    const linked = join(rig.repository.folder, "linked tree");
    await rig.repository.git("worktree", "add", "--quiet", linked, "-b", "work", rig.from);
    const request = { path: linked, from: rig.from, to: rig.to };
    expect(await rig.opened.advanceCheckout(request)).toEqual(ADVANCED);
    expect(await readFile(join(linked, "edited.txt"), "utf8")).toBe("after\n");
    expect(await rig.isAt(rig.from)).toBe(true);
  });

  test("may be repeated", async () => {
    await using rig = await makeRig();
    expect(await rig.advance()).toEqual(ADVANCED);
    expect(await rig.advance()).toEqual(ADVANCED);
    expect(await rig.isAt(rig.to)).toBe(true);
    expect(await rig.back()).toEqual(ADVANCED);
    expect(await rig.back()).toEqual(ADVANCED);
    expect(await rig.isAt(rig.from)).toBe(true);
  });

  test("goes on where a crash left files written, removed or neither, and the index behind", async () => {
    await using rig = await makeRig();
    await writeFile(rig.file("edited.txt"), "after\n");
    await rm(rig.file("removed.txt"));
    await rm(rig.file("turned"), { recursive: true });
    await writeFile(rig.file("turned"), "now a file\n");
    await mkdir(rig.file("new folder"));
    await writeFile(rig.file("new folder/wörk\nend.txt"), "new\n");
    expect(await rig.advance()).toEqual(ADVANCED);
    expect(await rig.isAt(rig.to)).toBe(true);
    expect(await rig.status()).not.toContain("??");
  });

  test("goes on wherever a crash has stopped it", async () => {
    await using rig = await makeRig();
    const steps = Object.entries(AFTER).toSorted(([, left], [, right]) =>
      left === null ? -1 : right === null ? 1 : 0,
    );
    for (let done = 0; done <= steps.length; done += 1) {
      await rig.repository.git("reset", "--quiet", "--hard", rig.from);
      await rig.repository.git("clean", "--quiet", "-d", "--force", "-x");
      for (const [path, content] of steps.slice(0, done)) {
        await rm(rig.file(path), { recursive: true, force: true });
        if (path === "turned/into.txt") await rm(rig.file("turned"), { recursive: true });
        if (content !== null) await rig.repository.write(path, content);
      }
      expect({ done, ...(await rig.advance()) }).toEqual({ done, ...ADVANCED });
      expect(await rig.isAt(rig.to)).toBe(true);
    }
  });

  test("goes on where a crash left links and modes written", async () => {
    await using rig = await makeRig({});
    await rm(rig.file("edited.txt"));
    await symlink("untouched.txt", rig.file("edited.txt"));
    await symlink("no/where", rig.file("link"));
    await writeFile(rig.file("run.sh"), "x\n", { mode: 0o755 });
    const to = await rig.repository.commit({});
    await rig.repository.git("reset", "--quiet", "--mixed", rig.from);
    const { path } = rig.repository;
    expect(await rig.opened.advanceCheckout({ path, from: rig.from, to })).toEqual(ADVANCED);
    expect(await rig.isAt(to)).toBe(true);
    expect(await readlink(rig.file("link"))).toBe("no/where");
  });

  test("is not misled by files that were touched and not changed", async () => {
    await using rig = await makeRig();
    await utimes(rig.file("edited.txt"), 1, 1);
    expect(await rig.advance()).toEqual(ADVANCED);
    expect(await rig.isAt(rig.to)).toBe(true);
  });

  test("keeps changes to files that stay as they are", async () => {
    await using rig = await makeRig();
    await writeFile(rig.file("untouched.txt"), "mine\n");
    await writeFile(rig.file("README.md"), "staged\n");
    await rig.repository.git("add", "README.md");
    await writeFile(rig.file("README.md"), "not staged\n");
    expect(await rig.advance()).toEqual(ADVANCED);
    expect(await rig.advance()).toEqual(ADVANCED);
    expect(await rig.read("untouched.txt")).toBe("mine\n");
    expect(await rig.read("README.md")).toBe("not staged\n");
    expect(await rig.repository.git("show", ":README.md")).toBe("staged");
    expect(await rig.read("edited.txt")).toBe("after\n");
  });

  test("is blocked by a changed file, staged or not, and changes nothing", async () => {
    await using rig = await makeRig();
    await writeFile(rig.file("edited.txt"), "mine\n");
    const blocked = {
      kind: "blocked",
      reason: 'files have changes of their own: "edited.txt"',
      paths: ["edited.txt"],
      hint: expect.stringContaining(rig.repository.path),
    };
    expect(await rig.advance()).toEqual(blocked);
    expect(await rig.read("edited.txt")).toBe("mine\n");
    await rig.repository.git("add", "edited.txt");
    expect(await rig.advance()).toEqual(blocked);
    await writeFile(rig.file("edited.txt"), "after\n");
    expect(await rig.advance()).toEqual(blocked);
    expect(await rig.repository.git("show", ":edited.txt")).toBe("mine");
    expect(await rig.status()).toBe("MM edited.txt");
  });

  test("is blocked by untracked and ignored files in the way, all of them named", async () => {
    await using rig = await makeRig();
    await writeFile(rig.file("secret.ignored"), "mine\n");
    await writeFile(rig.file("new folder"), "mine\n");
    await writeFile(rig.file("turned/kept.ignored"), "mine\n");
    const before = await rig.status();
    expect(await rig.advance()).toMatchObject({
      kind: "blocked",
      reason:
        'untracked files are in the way: "new folder", "secret.ignored", "turned/kept.ignored"',
      paths: ["new folder", "secret.ignored", "turned/kept.ignored"],
    });
    expect(await rig.read("secret.ignored")).toBe("mine\n");
    expect(await rig.read("turned/kept.ignored")).toBe("mine\n");
    expect(await rig.status()).toBe(before);
    expect(await rig.isAt(rig.from)).toBe(true);
  });

  test.each(["secret.ignored", "turned/kept.ignored"])(
    "is blocked by %s alone, which git would overwrite or remove without a word",
    async (name) => {
      await using rig = await makeRig();
      await writeFile(rig.file(name), "mine\n");
      expect(await rig.advance()).toMatchObject({ kind: "blocked", paths: [name] });
      expect(await rig.read(name)).toBe("mine\n");
      expect(await rig.isAt(rig.from)).toBe(true);
    },
  );

  test("is blocked by an untracked file even where others are written already", async () => {
    await using rig = await makeRig();
    await writeFile(rig.file("edited.txt"), "after\n");
    await writeFile(rig.file("secret.ignored"), "mine\n");
    expect(await rig.advance()).toMatchObject({ kind: "blocked", paths: ["secret.ignored"] });
    expect(await rig.repository.git("show", ":edited.txt")).toBe("before");
  });

  test("does not follow an untracked link out of the checkout", async () => {
    await using rig = await makeRig({ "outside/file.txt": "ours\n" });
    const outside = join(rig.repository.folder, "outside");
    await mkdir(outside);
    await symlink(outside, rig.file("outside"));
    expect(await rig.advance()).toMatchObject({ kind: "blocked", paths: ["outside"] });
    expect((await lstat(rig.file("outside"))).isSymbolicLink()).toBe(true);
    expect(existsSync(join(outside, "file.txt"))).toBe(false);
  });

  test("is blocked by a leftover index.lock, and says where it is", async () => {
    await using rig = await makeRig();
    const lock = join(rig.repository.path, ".git/index.lock");
    await writeFile(lock, "");
    expect(await rig.advance()).toEqual({
      kind: "blocked",
      reason: `${lock} is there`,
      hint: `if no git process is at work there, remove ${lock}`,
      paths: [lock],
    });
    await writeFile(rig.file("new folder"), "mine\n");
    expect(await rig.advance()).toMatchObject({ kind: "blocked", paths: [lock] });
    expect(await rig.read("edited.txt")).toBe("before\n");
    expect(existsSync(lock)).toBe(true);
  });

  test("waits for an index.lock that is let go", async () => {
    await using rig = await makeRig();
    const lock = join(rig.repository.path, ".git/index.lock");
    await writeFile(lock, "");
    await using opened = await rig.repository.open({ clock: makeEagerClock(() => rm(lock)) });
    const { path } = rig.repository;
    const outcome = await opened.advanceCheckout({ path, from: rig.from, to: rig.to });
    expect(outcome).toEqual(ADVANCED);
  });

  test("takes back what it began where a file cannot be written", async () => {
    await using rig = await makeRig({ ...AFTER, "z large.txt": "0123456789\n".repeat(30_000) });
    const program = join(rig.repository.folder, "program");
    // No file may grow beyond 128 blocks, which is what a full disk is like.
    await writeFile(program, `#!/bin/sh\nulimit -f 128\ntrap '' XFSZ\nexec git "$@"\n`, {
      mode: 0o755,
    });
    await using opened = await rig.repository.open({ program });
    const { path } = rig.repository;
    const request = { path, from: rig.from, to: rig.to };
    expect(await opened.advanceCheckout(request)).toMatchObject({
      kind: "blocked",
      reason: expect.stringContaining("unable to write file"),
    });
    expect(await rig.isAt(rig.from)).toBe(true);
    expect(await rig.status()).toBe("");
    expect(await rig.advance()).toEqual(ADVANCED);
    expect(await rig.isAt(rig.to)).toBe(true);
  });

  test("is blocked in the middle of a merge", async () => {
    await using rig = await makeRig();
    const other = await rig.repository.commitOn(rig.from, { "x.txt": "x\n" });
    await rig.repository.commit({ "y.txt": "y\n" });
    await rig.repository.git("merge", "--no-commit", "--no-ff", other);
    expect(await rig.advance()).toMatchObject({
      kind: "blocked",
      reason: "a merge is in progress there",
    });
  });

  test("writes files as the user's own attributes and filters say", async () => {
    await using rig = await makeRig({
      "windows.txt": "a\nb\n",
      ".gitattributes": "*.txt eol=crlf\n",
    });
    expect(await rig.advance()).toEqual(ADVANCED);
    expect(await rig.read("windows.txt")).toBe("a\r\nb\r\n");
    await rig.repository.git("read-tree", rig.from);
    expect(await rig.advance()).toEqual(ADVANCED);
    expect(await rig.repository.git("diff-index", "--cached", rig.to)).toBe("");
  });
});
