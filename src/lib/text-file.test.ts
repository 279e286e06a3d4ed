import { execFileSync } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { readTextFile } from "./text-file.ts";

const limits = { bytesMax: 10, followLinks: false };

test("reads a whole file up to the limit, without its byte order mark", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "text");
  await writeFile(path, "\uFEFFé345678");
  expect(await readTextFile(path, { ...limits, bytesMax: 11 })).toEqual({
    ok: true,
    text: "é345678",
  });
  await writeFile(path, "");
  expect(await readTextFile(path, limits)).toEqual({ ok: true, text: "" });
});

test("refuses what is too large, no text, or no file", async () => {
  await using folder = await temporaryFolder();
  const at = (name: string) => join(folder.path, name);
  await writeFile(at("large"), "12345678901");
  await writeFile(at("binary"), Buffer.from([0x80]));
  await mkdir(at("folder"));
  expect(await readTextFile(at("large"), limits)).toMatchObject({
    message: expect.stringMatching(/larger than the 10/),
  });
  expect(await readTextFile(at("binary"), limits)).toMatchObject({
    message: expect.stringMatching(/UTF-8/),
  });
  expect(await readTextFile(at("folder"), limits)).toMatchObject({
    message: expect.stringMatching(/is a folder/),
  });
  expect(await readTextFile("/dev/zero", limits)).toMatchObject({
    message: expect.stringMatching(/not a regular/),
  });
  expect(await readTextFile(at("gone"), limits)).toMatchObject({ reason: "missing" });
  expect(await readTextFile(at("large/inner"), limits)).toMatchObject({ reason: "missing" });
});

test("follows links only where that is allowed", async () => {
  await using folder = await temporaryFolder();
  const link = join(folder.path, "link");
  await writeFile(join(folder.path, "target"), "text");
  await symlink("target", link);
  expect(await readTextFile(link, limits)).toMatchObject({
    message: expect.stringMatching(/symbolic link/),
  });
  expect(await readTextFile(link, { ...limits, followLinks: true })).toEqual({
    ok: true,
    text: "text",
  });
});

test("does not wait for a pipe that nobody writes to", async () => {
  await using folder = await temporaryFolder();
  const pipe = join(folder.path, "pipe");
  execFileSync("mkfifo", [pipe]);
  expect(await readTextFile(pipe, limits)).toMatchObject({
    message: expect.stringMatching(/not a regular/),
  });
});
