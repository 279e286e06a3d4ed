import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { writeFileAtomically } from "./atomic-file.ts";

test("writes a new file and replaces an old one, with nothing left beside it", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "state.json");
  await writeFileAtomically(path, "old, and longer");
  await writeFileAtomically(path, Buffer.from("new"));
  expect(await readFile(path, "utf8")).toBe("new");
  expect(await readdir(folder.path)).toEqual(["state.json"]);
});

test("a reader at any moment finds a whole content, whoever writes", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "state.json");
  const contents = Array.from({ length: 20 }, (_, index) => String(index).repeat(50_000));
  await writeFileAtomically(path, contents[0] ?? "");
  const writes = contents.map((content) => writeFileAtomically(path, content));
  const reads = writes.flatMap((write) => [
    readFile(path, "utf8"),
    write.then(() => readFile(path, "utf8")),
  ]);
  await Promise.all(writes);
  for (const content of await Promise.all(reads)) expect(contents.includes(content)).toBe(true);
  expect(await readdir(folder.path)).toEqual(["state.json"]);
});

test("leaves the old content and no rubbish when it fails", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "taken");
  await mkdir(join(path, "inner"), { recursive: true });
  await expect(writeFileAtomically(path, "new")).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
  await expect(writeFileAtomically(join(folder.path, "no/file"), "new")).rejects.toThrow("ENOENT");
  expect(await readdir(folder.path)).toEqual(["taken"]);
});

test("goes around what a process of the same id left behind", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "state.json");
  const leftovers = Array.from({ length: 200 }, (_, index) => {
    return join(folder.path, `.state.json.${process.pid}.${index}.tmp`);
  });
  for (const leftover of leftovers) await writeFile(leftover, "half");
  await writeFileAtomically(path, "new");
  expect(await readFile(path, "utf8")).toBe("new");
  expect(await readFile(leftovers.at(-1) ?? "", "utf8")).toBe("half");
});

test("replaces a symbolic link instead of writing through it", async () => {
  await using folder = await temporaryFolder();
  const target = join(folder.path, "target");
  const link = join(folder.path, "link");
  await writeFile(target, "untouched");
  await chmod(target, 0o600);
  await symlink(target, link);
  await writeFileAtomically(link, "new");
  expect(await readFile(target, "utf8")).toBe("untouched");
  expect(await readFile(link, "utf8")).toBe("new");
});

test("gives the file the mode that was asked for, whatever the one before had", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "settings.json");
  await writeFile(path, "old");
  await chmod(path, 0o644);
  await writeFileAtomically(path, "new", { mode: 0o600 });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await writeFileAtomically(path, "newer", { mode: 0o666 });
  expect((await stat(path)).mode & 0o777).toBe(0o666);
});
