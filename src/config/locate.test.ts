import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { findRepository, locateConfig } from "./locate.ts";

test("finds the configuration from anywhere in the repository that holds the folder", async () => {
  await using folder = await temporaryFolder();
  const file = await writeRepository(folder.path);
  await mkdir(join(folder.path, "deep/er"), { recursive: true });
  expect(locateConfig({ cwd: join(folder.path, "deep/er") })).toBe(file);
  expect(locateConfig({ cwd: folder.path })).toBe(file);
});

test("what --config names is all that is tried", async () => {
  await using folder = await temporaryFolder();
  await writeRepository(folder.path);
  await writeFile(join(folder.path, "other.yaml"), "");
  const cwd = folder.path;
  expect(locateConfig({ cwd, configFile: "other.yaml" })).toBe(join(cwd, "other.yaml"));
  expect(() => locateConfig({ cwd, configFile: "missing.yaml" })).toThrow("missing.yaml");
});

test("an inner repository does not borrow the outer one's configuration", async () => {
  await using folder = await temporaryFolder();
  await writeRepository(folder.path);
  const inner = join(folder.path, "inner");
  await mkdir(inner);
  await writeFile(join(inner, ".git"), "gitdir: ../.git/modules/inner\n");
  expect(() => locateConfig({ cwd: inner })).toThrow(`no ${inner}/.mycelium/config.yaml`);
});

test("an empty .git folder makes no repository", async () => {
  await using folder = await temporaryFolder();
  await writeRepository(folder.path);
  await mkdir(join(folder.path, "sub/.git"), { recursive: true });
  expect(findRepository(join(folder.path, "sub"))).toBe(folder.path);
});

test("outside of any repository it says so", async () => {
  await using folder = await temporaryFolder();
  expect(() => locateConfig({ cwd: folder.path })).toThrow("not in a git repository");
});

async function writeRepository(path: string): Promise<string> {
  await mkdir(join(path, ".git"));
  await writeFile(join(path, ".git/HEAD"), "ref: refs/heads/main\n");
  await mkdir(join(path, ".mycelium"));
  const file = join(path, ".mycelium/config.yaml");
  await writeFile(file, "main_branch: main\n");
  return file;
}
