import { appendFileSync, readFileSync } from "node:fs";
import { chmod, lstat, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { changeFile, type FileChange } from "./change-file.ts";

function adding(file: string, line: string): FileChange {
  return {
    file,
    newMode: 0o600,
    edit: (text) => ({ text: `${text ?? ""}${line}\n`, state: "written" }),
  };
}

test("a new file is made with its folders, for its owner's eyes", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "deep/er/settings.json");
  expect(await changeFile(adding(file, "one"))).toBe("written");
  expect(await readFile(file, "utf8")).toBe("one\n");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test("a file keeps its mode, and a link stays a link", async () => {
  await using folder = await temporaryFolder();
  const real = join(folder.path, "dotfiles");
  const link = join(folder.path, "settings.json");
  await mkdir(real);
  await writeFile(join(real, "real.json"), "one\n");
  await chmod(join(real, "real.json"), 0o640);
  await symlink("dotfiles/real.json", link);
  await changeFile(adding(link, "two"));
  expect((await lstat(link)).isSymbolicLink()).toBe(true);
  expect(await readFile(join(real, "real.json"), "utf8")).toBe("one\ntwo\n");
  expect((await stat(link)).mode & 0o777).toBe(0o640);
  expect(await readdir(real)).toEqual(["real.json"]);
});

test("what somebody else writes meanwhile is kept", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "settings.json");
  await writeFile(file, "one\n");
  let isFirst = true;
  const change: FileChange = {
    ...adding(file, "mine"),
    edit: (text) => {
      if (isFirst) appendFileSync(file, "theirs\n");
      isFirst = false;
      return { text: `${text ?? ""}mine\n`, state: "written" };
    },
  };
  await changeFile(change);
  expect(await readFile(file, "utf8")).toBe("one\ntheirs\nmine\n");
});

test("a file that never rests is given up, as it is", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "settings.json");
  const change: FileChange = {
    ...adding(file, "mine"),
    edit: (text) => {
      appendFileSync(file, "theirs\n");
      return { text: `${text ?? ""}mine\n`, state: "written" };
    },
  };
  const told = await changeFile(change).catch((error: Error) => error.message);
  expect(told).toContain("was changed 5 times meanwhile");
  expect(readFileSync(file, "utf8")).toBe("theirs\n".repeat(5));
});

test("what is no text is refused and left alone", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "settings.json");
  await writeFile(file, Buffer.from([0xff, 0xfe, 0x00]));
  await expect(changeFile(adding(file, "mine"))).rejects.toThrow("is not UTF-8 text");
  expect(await readFile(file)).toEqual(Buffer.from([0xff, 0xfe, 0x00]));
});
