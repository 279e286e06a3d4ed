import { mkdir, readFile, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  installTellTaleHooks,
  makeGitRepository,
  writeIn,
  type TestRepository,
  type TestRepositoryOptions,
} from "../../test/support/git-repository.ts";
import type { Repository } from "./repository.ts";
import { BUNDLE_BYTES_MAX } from "./bundle-file.ts";

const REF = "refs/mycelium/runs/r1/t1";

/** A repository with a worker's clone of it. */
interface Rig extends AsyncDisposable {
  readonly repository: TestRepository;
  readonly opened: Repository;
  readonly started: string[];
  worker(args: readonly string[], stdin?: string | Buffer): Promise<string>;
  /** Commits a file in the clone. */
  work(path: string, content?: string): Promise<string>;
  bundle(...args: readonly string[]): Promise<string>;
  /** Imports and answers why it was refused, or null. */
  bringIn(bundle: string, head: string): Promise<string | null>;
}

async function makeRig(options: TestRepositoryOptions = {}): Promise<Rig> {
  const repository = await makeGitRepository(options);
  const clone = join(repository.folder, "clone");
  await repository.gitIn(repository.folder, ["clone", "--quiet", repository.path, clone]);
  const started: string[] = [];
  const opened = await repository.open({ onStart: (args) => started.push(args[0] ?? "") });
  const worker: Rig["worker"] = (args, stdin) => repository.gitIn(clone, args, stdin);
  return {
    repository,
    opened,
    started,
    worker,
    work: async (path, content = "work\n") => {
      await writeIn(clone, path, content);
      await worker(["add", "--all"]);
      await worker(["commit", "--quiet", "-m", "work"]);
      return worker(["rev-parse", "HEAD"]);
    },
    bundle: async (...args) => {
      const path = join(repository.folder, "work.bundle");
      await worker(["bundle", "create", "--quiet", path, ...args]);
      return path;
    },
    bringIn: async (bundle, head) => {
      const request = { bundle, ref: REF, head, base: repository.base };
      const result = await opened.importBundle(request);
      return result.ok ? null : result.failure.message;
    },
    [Symbol.asyncDispose]: async () => {
      await opened.close();
      await repository[Symbol.asyncDispose]();
    },
  };
}

/** Writes a tree as git itself never would, with one file under a name, and commits it. */
async function commitHostileTree(
  rig: Rig,
  mode: string,
  name: string,
  id?: string,
): Promise<string> {
  const blob = id ?? (await rig.worker(["hash-object", "-w", "--stdin"], "evil\n"));
  const entry = Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(blob, "hex")]);
  const tree = await rig.worker(
    ["hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
    entry,
  );
  const commit = ["commit-tree", "-p", rig.repository.base, "-m", "evil", tree];
  const head = await rig.worker(commit);
  await rig.worker(["update-ref", "HEAD", head]);
  return head;
}

async function expectNothingImported(rig: Rig, head: string): Promise<void> {
  expect(await rig.opened.listRefs("refs/mycelium")).toEqual([]);
  expect(await rig.opened.readCommit(head)).toBeNull();
}

describe("importBundle", () => {
  test("brings a worker's commits in under the ref, by one process and no hook", async () => {
    await using rig = await makeRig();
    const hooksRun = await installTellTaleHooks(rig.repository);
    await rig.work("a b.txt");
    const head = await rig.work("wörk/line\nend.txt");
    const bundle = await rig.bundle(`${rig.repository.base}..HEAD`);
    expect(await rig.bringIn(bundle, head)).toBeNull();
    expect(rig.started).toEqual(["rev-parse", "cat-file", "receive-pack"]);
    expect(await hooksRun()).toBe("");
    expect(await rig.opened.listRefs("refs/mycelium")).toEqual([{ ref: REF, id: head }]);
    const changes = await rig.opened.listChanges(rig.repository.base, head);
    expect(changes.map(({ path }) => path)).toEqual(["a b.txt", "wörk/line\nend.txt"]);
    await rig.repository.git("fsck", "--strict");
    expect(await rig.repository.git("status", "--porcelain")).toBe("");
  });

  test("may be repeated, and takes a later try's commits over an earlier's", async () => {
    await using rig = await makeRig();
    const first = await rig.work("first.txt");
    const firstBundle = await rig.bundle(`${rig.repository.base}..HEAD`);
    expect(await rig.bringIn(firstBundle, first)).toBeNull();
    expect(await rig.bringIn(firstBundle, first)).toBeNull();
    await rig.worker(["reset", "--quiet", "--hard", rig.repository.base]);
    const second = await rig.work("second.txt");
    await rig.repository.git("config", "receive.denyNonFastForwards", "true");
    expect(await rig.bringIn(await rig.bundle(`${rig.repository.base}..HEAD`), second)).toBeNull();
    expect(await rig.opened.listRefs("refs/mycelium")).toEqual([{ ref: REF, id: second }]);
  });

  test("does not depend on what the user's settings would take", async () => {
    await using rig = await makeRig();
    await rig.repository.git("config", "transfer.hideRefs", "refs/mycelium");
    await rig.repository.git("config", "receive.denyNonFastForwards", "true");
    await rig.repository.git("config", "receive.fsckObjects", "false");
    await rig.repository.git("config", "receive.procReceiveRefs", "refs/other");
    const head = await rig.work("new.txt");
    expect(await rig.bringIn(await rig.bundle(`${rig.repository.base}..HEAD`), head)).toBeNull();
    await rig.worker(["reset", "--quiet", "--hard", rig.repository.base]);
    const hostile = await commitHostileTree(rig, "100644", ".git");
    const bundle = await rig.bundle(`${rig.repository.base}..HEAD`);
    expect(await rig.bringIn(bundle, hostile)).toContain("hasDotgit");
  });

  test("takes many objects as one pack", async () => {
    await using rig = await makeRig();
    let head = "";
    for (let index = 0; index < 40; index += 1)
      head = await rig.work(`f${index}.txt`, `${index}\n`);
    expect(await rig.bringIn(await rig.bundle(`${rig.repository.base}..HEAD`), head)).toBeNull();
    expect(await rig.repository.git("count-objects", "-v")).toContain("packs: 1");
  });

  test("brings commits of SHA-256 objects in", async () => {
    await using rig = await makeRig({ objectFormat: "sha256" });
    const head = await rig.work("new.txt");
    expect(await rig.bringIn(await rig.bundle(`${rig.repository.base}..HEAD`), head)).toBeNull();
    expect((await rig.opened.readCommit(head))?.parents).toEqual([rig.repository.base]);
  });

  test.each([
    ["100644", ".git"],
    ["40000", ".git"],
    ["100644", ".GIT"],
    ["100644", "git~1"],
    ["40000", ".."],
    ["40000", "."],
    ["100644", "a/b"],
    ["120000", ".gitmodules"],
  ])("refuses a tree with an entry %s %s, and takes none of its objects", async (mode, name) => {
    await using rig = await makeRig();
    const inner = mode === "40000" ? await rig.worker(["rev-parse", "HEAD^{tree}"]) : undefined;
    const head = await commitHostileTree(rig, mode, name, inner);
    const bundle = await rig.bundle(`${rig.repository.base}..HEAD`);
    expect(await rig.bringIn(bundle, head)).toContain("was refused by git: error: object");
    await expectNothingImported(rig, head);
  });

  test("refuses a tree with a whole .git folder deep inside", async () => {
    await using rig = await makeRig();
    const hostile = await commitHostileTree(rig, "100644", ".git");
    const evil = await rig.worker(["rev-parse", `${hostile}^{tree}`]);
    const head = await commitHostileTree(rig, "40000", "deep", evil);
    expect(await rig.bringIn(await rig.bundle(`${rig.repository.base}..HEAD`), head)).toContain(
      "hasDotgit",
    );
    await expectNothingImported(rig, head);
  });

  test("refuses a submodule whose address is a command", async () => {
    await using rig = await makeRig();
    const modules = '[submodule "s"]\n\tpath = s\n\turl = -u./payload\n';
    const head = await rig.work(".gitmodules", modules);
    expect(await rig.bringIn(await rig.bundle(`${rig.repository.base}..HEAD`), head)).toContain(
      "gitmodulesUrl",
    );
    await expectNothingImported(rig, head);
  });

  test("refuses commits whose prerequisites are not there", async () => {
    await using rig = await makeRig();
    const hidden = await rig.work("hidden.txt");
    const head = await rig.work("shown.txt");
    expect(await rig.bringIn(await rig.bundle(`${hidden}..HEAD`), head)).toContain("was refused");
    await expectNothingImported(rig, head);
  });

  test("refuses bytes that were changed or cut off", async () => {
    await using rig = await makeRig();
    const head = await rig.work("new.txt", "content\n".repeat(100));
    const bundle = await rig.bundle(`${rig.repository.base}..HEAD`);
    const whole = await readFile(bundle);
    const middle = whole.indexOf("PACK") + 40;
    const changed = Buffer.from(whole);
    changed[middle] = (changed[middle] ?? 0) ^ 0xff;
    const spoiled = [changed, whole.subarray(0, -30), whole.subarray(0, middle - 36)];
    for (const content of spoiled) {
      await writeFile(bundle, content);
      expect(await rig.bringIn(bundle, head)).toContain("was refused by git");
      await expectNothingImported(rig, head);
    }
  });

  test("refuses several refs, another ref than HEAD, and another head than was told", async () => {
    await using rig = await makeRig();
    const head = await rig.work("new.txt");
    const { base } = rig.repository;
    await rig.worker(["branch", "second"]);
    const both = await rig.bundle(`${base}..HEAD`, "second");
    expect(await rig.bringIn(both, head)).toBe("the bundle holds 2 refs, not one");
    const branch = await rig.bundle(`${base}..second`);
    expect(await rig.bringIn(branch, head)).toBe("the bundle holds refs/heads/second, not HEAD");
    const other = await rig.bundle(`${base}..HEAD`);
    expect(await rig.bringIn(other, base)).toBe(`the bundle holds ${head}, not ${base}`);
    await expectNothingImported(rig, head);
  });

  test("refuses work that does not stand on what the task was started from", async () => {
    await using rig = await makeRig();
    const tree = await rig.worker(["rev-parse", "HEAD^{tree}"]);
    const head = await rig.worker(["commit-tree", "-m", "orphan", tree]);
    await rig.worker(["update-ref", "HEAD", head]);
    const message = `the bundle does not stand on ${rig.repository.base}, which the task was started from`;
    expect(await rig.bringIn(await rig.bundle("HEAD"), head)).toBe(message);
    expect(await rig.opened.listRefs("refs/mycelium")).toEqual([]);
  });

  test("takes work that stands on its base by a longer way or as a merge's other side", async () => {
    await using rig = await makeRig();
    const { base } = rig.repository;
    for (let index = 0; index < 35; index += 1) {
      await rig.worker(["commit", "--quiet", "--allow-empty", "-m", `step ${index}`]);
    }
    const long = await rig.worker(["rev-parse", "HEAD"]);
    expect(await rig.bringIn(await rig.bundle(`${base}..HEAD`), long)).toBeNull();
    const tree = await rig.worker(["rev-parse", "HEAD^{tree}"]);
    const orphan = await rig.worker(["commit-tree", "-m", "orphan", tree]);
    const merge = await rig.worker(["commit-tree", "-p", orphan, "-p", long, "-m", "merge", tree]);
    await rig.worker(["update-ref", "HEAD", merge]);
    expect(await rig.bringIn(await rig.bundle(`${base}..HEAD`), merge)).toBeNull();
  });

  test("refuses a head that is no commit", async () => {
    await using rig = await makeRig();
    await rig.work("new.txt");
    const bundle = await rig.bundle(`${rig.repository.base}..HEAD`);
    const blob = await rig.worker(["rev-parse", "HEAD:new.txt"]);
    const content = (await readFile(bundle)).toString("latin1");
    await writeFile(bundle, content.replace(/[0-9a-f]{40} HEAD/, `${blob} HEAD`), "latin1");
    expect(await rig.bringIn(bundle, blob)).toContain("does not stand on");
    expect(await rig.opened.listRefs("refs/mycelium")).toEqual([]);
  });

  test("refuses what is no bundle, without following or waiting for anything", async () => {
    await using rig = await makeRig();
    const { folder, base } = rig.repository;
    const head = await rig.work("new.txt");
    const bundle = await rig.bundle(`${base}..HEAD`);
    const link = join(folder, "link");
    await symlink(bundle, link);
    const text = join(folder, "text");
    await writeFile(text, "hello\n".repeat(100));
    const empty = join(folder, "empty");
    await writeFile(empty, "");
    const directory = join(folder, "directory");
    await mkdir(directory);
    const pipe = join(folder, "pipe");
    await rig.repository.gitIn(folder, ["-c", `alias.pipe=!mkfifo ${pipe}`, "pipe"]);
    expect(await rig.bringIn(link, head)).toBe("the bundle cannot be read: ELOOP");
    expect(await rig.bringIn(text, head)).toBe("the bundle is no git bundle");
    expect(await rig.bringIn(empty, head)).toBe("the bundle is no git bundle");
    expect(await rig.bringIn(directory, head)).toBe("the bundle is no regular file");
    expect(await rig.bringIn(pipe, head)).toBe("the bundle is no regular file");
    expect(await rig.bringIn(join(folder, "nothing"), head)).toBe(
      "the bundle cannot be read: ENOENT",
    );
  });

  test("refuses a bundle that is too large without reading it", async () => {
    await using rig = await makeRig();
    const head = await rig.work("new.txt");
    const bundle = await rig.bundle(`${rig.repository.base}..HEAD`);
    await truncate(bundle, BUNDLE_BYTES_MAX + 1);
    expect(await rig.bringIn(bundle, head)).toContain(`has ${BUNDLE_BYTES_MAX + 1} bytes`);
  });

  test("refuses headers that it does not understand, and another object format", async () => {
    await using rig = await makeRig();
    const head = await rig.work("new.txt");
    const bundle = await rig.bundle(`${rig.repository.base}..HEAD`);
    const content = (await readFile(bundle)).toString("latin1");
    const withHeader = (line: string): string =>
      content.replace("# v2 git bundle\n", `# v3 git bundle\n${line}\n`);
    await writeFile(bundle, withHeader("@filter=blob:none"), "latin1");
    expect(await rig.bringIn(bundle, head)).toContain("not understood: @filter=blob:none");
    await writeFile(bundle, withHeader("@object-format=sha256"), "latin1");
    expect(await rig.bringIn(bundle, head)).toContain("holds sha256 objects");
    await writeFile(bundle, withHeader("@object-format=sha1"), "latin1");
    expect(await rig.bringIn(bundle, head)).toBeNull();
  });

  test("never touches a ref that is not Mycelium's", async () => {
    await using rig = await makeRig();
    const head = await rig.work("new.txt");
    const bundle = await rig.bundle(`${rig.repository.base}..HEAD`);
    const { base } = rig.repository;
    const importing = rig.opened.importBundle({ bundle, ref: "refs/heads/main", head, base });
    await expect(importing).rejects.toThrow("not a ref of ours");
  });
});
