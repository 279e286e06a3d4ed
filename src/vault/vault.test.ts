import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { value } from "../../test/support/lasting-rig.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { runProcess } from "../lib/process.ts";
import { VAULT_LIMITS } from "./limits.ts";
import { checkNotePath } from "./note-path.ts";
import { openVault, type Vault } from "./vault.ts";

async function makeVault() {
  const folder = await temporaryFolder();
  const root = join(folder.path, "vault");
  await writeFile(join(folder.path, "secret.md"), "outside");
  const dispose = async (): Promise<void> => folder[Symbol.asyncDispose]();
  return { root, outside: folder.path, vault: openVault(root), [Symbol.asyncDispose]: dispose };
}

const write = (vault: Vault, path: string, content: string) =>
  vault.write({ path, content, mode: "overwrite" });

const search = { folder: "", tag: null, resultsMax: 20 } as const;

describe("notes", () => {
  test("are plain files that are written, added to at both ends, moved and deleted", async () => {
    await using made = await makeVault();
    const { vault, root } = made;
    const path = "plans/api-spec.md";
    expect(await write(vault, path, "---\na: 1\n---\nmiddle\n")).toMatchObject({
      value: { created: true },
    });
    value(await vault.write({ path, content: "end", mode: "append" }));
    value(await vault.write({ path, content: "start", mode: "prepend" }));
    const text = "---\na: 1\n---\nstart\nmiddle\nend";
    expect(await readFile(join(root, path), "utf8")).toBe(text);
    await writeFile(join(root, path), `${text}\nby hand\n`);
    expect(value(await vault.read(path)).body).toBe("start\nmiddle\nend\nby hand\n");
    expect(await vault.write({ path, content: "x", mode: "create" })).toMatchObject({
      failure: { code: "note-exists" },
    });
    value(await write(vault, "b.md", "other"));
    expect(await vault.move(path, { path: "b.md", overwrite: false })).toMatchObject({
      failure: { code: "note-exists" },
    });
    value(await vault.move(path, { path: "new/place.md", overwrite: false }));
    expect(await vault.read(path)).toMatchObject({ failure: { code: "note-missing" } });
    value(await vault.move("new/place.md", { path: "b.md", overwrite: true }));
    const listed = value(await vault.list("", { recursive: true }));
    expect(listed).toMatchObject({ notes: [{ path: "b.md" }], folders: [] });
    value(await vault.remove("b.md"));
    expect(await vault.remove("b.md")).toMatchObject({ failure: { code: "note-missing" } });
    expect(await readdir(root)).toEqual([".mycelium"]);
  });

  test("are not larger than the limit", async () => {
    await using made = await makeVault();
    const most = "x".repeat(VAULT_LIMITS.noteBytes);
    value(await write(made.vault, "big.md", most));
    const more = await made.vault.write({ path: "big.md", content: "y", mode: "append" });
    expect(more).toMatchObject({ failure: { message: expect.stringContaining("too large") } });
    expect((await stat(join(made.root, "big.md"))).size).toBe(VAULT_LIMITS.noteBytes);
  });

  test("that many processes add to at once lose nothing", async () => {
    await using made = await makeVault();
    const script = `
      const { openVault } = await import(${JSON.stringify(join(import.meta.dirname, "vault.ts"))});
      const vault = openVault(process.argv[1]);
      for (let at = 0; at < 10; at += 1) {
        const done = await vault.write({ path: "log.md", content: process.argv[2] + at + "\\n", mode: "append" });
        if (!done.ok) throw new Error(JSON.stringify(done));
      }`;
    const adding = ["a", "b", "c", "d"].map((name) =>
      runProcess({
        command: [process.execPath, "--input-type=module", "-e", script, made.root, name],
        cwd: "/",
        env: {},
        timeoutMs: 60_000,
        outputBytesMax: 10_000,
      }),
    );
    for (const { ending, stderr } of await Promise.all(adding)) {
      expect(ending, stderr.bytes.toString()).toEqual({ kind: "exited", code: 0 });
    }
    const lines = value(await made.vault.read("log.md"))
      .text.trim()
      .split("\n");
    expect(new Set(lines).size).toBe(40);
    expect(
      lines.filter((line) => line.startsWith("a")).map((line) => Number(line.slice(1))),
    ).toEqual(Array.from({ length: 10 }, (_, at) => at));
  });
});

describe("no path", () => {
  test.each([
    ["../secret.md", "leads out"],
    ["a/../../secret.md", "leads out"],
    ["/etc/passwd.md", "absolute"],
    ["", "is empty"],
    ["a//b.md", "empty part"],
    ["./a.md", "hidden"],
    [".mycelium/locks/a.md", "hidden"],
    [".git/config.md", "hidden"],
    ["a\0b.md", "not allowed"],
    ["a\nb.md", "not allowed"],
    ["a\u202eb.md", "not allowed"],
    ["..\\secret.md", "not allowed"],
    ["a /b.md", "white space"],
    ["note.txt", "does not end in .md"],
    [`${"x".repeat(300)}.md`, "more than"],
    [`${"x/".repeat(20)}a.md`, "deeper"],
  ])("%j is a note's: it %s", async (path, problem) => {
    await using made = await makeVault();
    const { vault } = made;
    for (const answer of [
      await vault.read(path),
      await write(vault, path, "x"),
      await vault.remove(path),
      await vault.move(path, { path: "a.md", overwrite: true }),
    ]) {
      expect(answer).toMatchObject({
        ok: false,
        failure: { code: "note-invalid", message: expect.stringContaining(problem) },
      });
    }
    expect(await readdir(made.outside)).toEqual(["secret.md"]);
  });

  test("leads over a link, of a file or of a folder", async () => {
    await using made = await makeVault();
    const { vault, root, outside } = made;
    await mkdir(root);
    await symlink(join(outside, "secret.md"), join(root, "link.md"));
    await symlink(outside, join(root, "folder"));
    await symlink(join(outside, "new.md"), join(root, "dangling.md"));
    for (const path of ["link.md", "folder/secret.md", "folder/new.md", "dangling.md"]) {
      expect(await vault.read(path)).toMatchObject({ failure: { code: "note-invalid" } });
      expect(await write(vault, path, "x")).toMatchObject({ failure: { code: "note-invalid" } });
      expect(await vault.remove(path)).toMatchObject({ failure: { code: "note-invalid" } });
    }
    expect(value(await vault.list("", { recursive: true }))).toEqual({ notes: [], folders: [] });
    expect(await vault.list("folder", { recursive: true })).toMatchObject({ ok: false });
    expect(await readFile(join(outside, "secret.md"), "utf8")).toBe("outside");
    expect((await readdir(outside)).toSorted()).toEqual(["secret.md", "vault"]);
  });

  test("of any text leaves the vault", async () => {
    const part = fc.oneof(
      fc.constantFrom("..", ".", "", "a", "b.md", "~", "\0", "C:", "a\\..", "..\u200b", "%2e%2e"),
      fc.string({ unit: "binary", maxLength: 12 }),
    );
    const paths = fc.array(part, { maxLength: 8 }).map((parts) => parts.join("/"));
    await using made = await makeVault();
    await fc.assert(
      fc.asyncProperty(paths, async (path) => {
        const written = await write(made.vault, path, "x");
        expect(written.ok).toBe(checkNotePath(path).ok);
        if (written.ok) {
          expect(value(await made.vault.read(path)).text).toBe("x");
          value(await made.vault.remove(path));
        }
        expect((await readdir(made.outside)).toSorted()).toSatisfy(
          (names: string[]) => names.join() === "secret.md" || names.join() === "secret.md,vault",
        );
      }),
      { numRuns: 200 },
    );
  });
});

describe("searching", () => {
  async function filled() {
    const made = await makeVault();
    value(await write(made.vault, "a.md", "one\ntwo (x)\nthree\nfour\nfive"));
    value(await write(made.vault, "deep/b.md", "---\ntags: [api]\n---\nAlpha beta\nTwo"));
    value(await write(made.vault, "deep/c.md", "beta beta beta #api\nbeta gamma"));
    return made;
  }

  test("for plain text shows the lines around it", async () => {
    await using made = await filled();
    const found = value(await made.vault.search({ ...search, how: "literal", query: "(x)" }));
    const [before, after] = [["one"], ["three", "four"]];
    expect(found.hits).toEqual([
      { path: "a.md", line: 2, text: "two (x)", before, after, score: null },
    ]);
    const few = { ...search, how: "literal", query: "e", resultsMax: 2 } as const;
    expect(value(await made.vault.search(few))).toMatchObject({ truncated: true, hits: [{}, {}] });
  });

  test("by a regular expression, a folder and a tag", async () => {
    await using made = await filled();
    const { vault } = made;
    const pathsOf = async (request: object) =>
      value(await vault.search({ ...search, how: "regex", query: "^[Tt]wo", ...request })).hits.map(
        ({ path, line }) => `${path}:${line}`,
      );
    expect(await pathsOf({})).toEqual(["a.md:2", "deep/b.md:5"]);
    expect(await pathsOf({ folder: "deep" })).toEqual(["deep/b.md:5"]);
    expect(await pathsOf({ query: "beta", tag: "#api" })).toEqual([
      "deep/b.md:4",
      "deep/c.md:1",
      "deep/c.md:2",
    ]);
  });

  test("a pattern that never ends is stopped, and one that is none refused", async () => {
    await using made = await filled();
    value(await write(made.vault, "evil.md", `${"a".repeat(60)}!`));
    const query = { ...search, how: "regex", query: "^(a+)+$" } as const;
    expect(await made.vault.search(query)).toMatchObject({
      failure: { message: expect.stringContaining("takes more than") },
    });
    expect(await made.vault.search({ ...query, query: "(" })).toMatchObject({
      failure: { message: expect.stringContaining("is no regular expression") },
    });
    const replace = { path: "evil.md", search: "^(a+)+$", replacement: "", isPattern: true };
    expect(await made.vault.replace(replace)).toMatchObject({ ok: false });
    expect(value(await made.vault.read("evil.md")).text).toHaveLength(61);
  });

  test("for words puts the best note first and shows its best line", async () => {
    await using made = await filled();
    const found = value(await made.vault.search({ ...search, how: "fulltext", query: "BETA gam" }));
    expect(found.hits.map(({ path, line }) => [path, line])).toEqual([
      ["deep/c.md", 1],
      ["deep/b.md", 4],
    ]);
    expect(found.hits[0]?.score).toBeGreaterThan(found.hits[1]?.score ?? Infinity);
  });
});

describe("front matter and tags", () => {
  test("are changed without a touch on the rest", async () => {
    await using made = await makeVault();
    const { vault } = made;
    const text = "---\n# kept\ntitle: One # too\ntags: [a]\n---\n\nBody #b `#no`\n```\n#no\n```\n";
    value(await write(vault, "n.md", text));
    expect(value(await vault.setFrontMatter("n.md", "status", "open"))).toEqual({
      title: "One",
      tags: ["a"],
      status: "open",
    });
    expect(value(await vault.changeTags("n.md", { add: "#c/d" }))).toEqual({
      front: ["a", "c/d"],
      inline: ["b"],
    });
    expect(await vault.changeTags("n.md", { remove: "b" })).toMatchObject({
      failure: { message: "#b stands in the text" },
    });
    value(await vault.changeTags("n.md", { remove: "a" }));
    value(await vault.setFrontMatter("n.md", "status", undefined));
    const after = value(await vault.read("n.md"));
    expect(after.text).toContain("# kept\ntitle: One # too\n");
    expect(after.text.endsWith("---\n\nBody #b `#no`\n```\n#no\n```\n")).toBe(true);
    expect(after.frontMatter).toEqual({ title: "One", tags: ["c/d"] });
    expect(value(await vault.stats(1))).toMatchObject({
      notes: 1,
      tags: [
        { tag: "b", notes: 1 },
        { tag: "c/d", notes: 1 },
      ],
      recent: [{ path: "n.md" }],
    });
  });

  test("that are broken are told and left alone", async () => {
    await using made = await makeVault();
    const text = "---\na: [\n---\nbody";
    value(await write(made.vault, "n.md", text));
    expect(value(await made.vault.read("n.md"))).toMatchObject({
      body: "body",
      problem: expect.stringContaining("the front matter"),
    });
    expect(await made.vault.setFrontMatter("n.md", "b", 1)).toMatchObject({ ok: false });
    expect(value(await made.vault.read("n.md")).text).toBe(text);
  });

  test("of any text: setting a key and taking it away again leaves the body as it is", async () => {
    await using made = await makeVault();
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("---", "---\n", "---\n---\nx"),
    );
    await fc.assert(
      fc.asyncProperty(texts, fc.json(), async (text, json) => {
        value(await write(made.vault, "n.md", text));
        const before = value(await made.vault.read("n.md"));
        const set = await made.vault.setFrontMatter("n.md", "key", JSON.parse(json));
        if (!set.ok) return;
        expect(value(await made.vault.read("n.md")).body).toBe(before.body);
        value(await made.vault.setFrontMatter("n.md", "key", undefined));
        expect(value(await made.vault.read("n.md")).body).toBe(before.body);
      }),
      { numRuns: 100 },
    );
  });

  test("replacing counts, and nothing to replace is refused", async () => {
    await using made = await makeVault();
    const { vault } = made;
    value(await write(vault, "n.md", "a.b a.b axb"));
    const request = { path: "n.md", search: "a.b", replacement: "$&", isPattern: false };
    expect(value(await vault.replace(request))).toBe(2);
    expect(value(await vault.read("n.md")).text).toBe("$& $& axb");
    const pattern = { ...request, search: "(a)x", replacement: "$1-", isPattern: true };
    expect(value(await vault.replace(pattern))).toBe(1);
    expect(await vault.replace(request)).toMatchObject({ failure: { code: "note-invalid" } });
  });
});
