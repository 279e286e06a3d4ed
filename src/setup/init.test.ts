import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { environmentOfProcess, loadConfig } from "../config.ts";
import { openGit } from "../git/git.ts";
import { initRepository } from "./init.ts";

const environment = environmentOfProcess();

async function repository(branch: string, files: Readonly<Record<string, string>> = {}) {
  const folder = await temporaryFolder();
  const git = gitIn(folder.path);
  await git.run(["init", "--quiet", `--initial-branch=${branch}`]);
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder.path, name), content);
  }
  return folder;
}

function gitIn(cwd: string) {
  return openGit({ cwd, env: { PATH: environment.path, HOME: environment.userHome } });
}

function init(cwd: string, force = false) {
  return initRepository({ cwd, force, environment });
}

const TESTED = JSON.stringify({ scripts: { test: "node --test" } });

test("writes a configuration that loads, with the current branch and a guessed doctor", async () => {
  await using folder = await repository("work/one", { "package.json": TESTED });
  await mkdir(join(folder.path, "deep"));
  const report = await init(join(folder.path, "deep"));
  expect(report).toEqual({
    repository: folder.path,
    written: [
      join(folder.path, ".mycelium/config.yaml"),
      join(folder.path, ".mycelium/.gitignore"),
    ],
    branch: "work/one",
    doctor: "npm test",
    missing: [],
  });
  const config = await loadConfig({ cwd: folder.path, environment });
  expect(config).toMatchObject({ main_branch: "work/one", doctor: "npm test", bootstrap: [] });
});

test("the settings that it writes out are the defaults", async () => {
  await using folder = await repository("main", { "package.json": TESTED });
  await init(folder.path);
  const written = await loadConfig({ cwd: folder.path, environment });
  const minimal = "main_branch: main\ndoctor: npm test\n";
  await writeFile(join(folder.path, ".mycelium/config.yaml"), minimal);
  const { digest, ...defaults } = await loadConfig({ cwd: folder.path, environment });
  expect(written).toEqual({ ...defaults, digest: written.digest });
  expect(written.digest).not.toBe(digest);
});

test("planned tasks are ignored by git, the configuration is not", async () => {
  await using folder = await repository("main");
  await init(folder.path);
  await mkdir(join(folder.path, ".mycelium/tasks/001-a"), { recursive: true });
  await writeFile(join(folder.path, ".mycelium/tasks/001-a/spec.md"), "");
  const { stdout } = await gitIn(folder.path).run(["status", "--porcelain", "-uall"]);
  expect(stdout).toBe("?? .mycelium/.gitignore\n?? .mycelium/config.yaml\n");
});

test("a doctor that nobody could guess is asked for before a run, not made up", async () => {
  await using folder = await repository("main");
  const report = await init(folder.path);
  expect(report).toMatchObject({ doctor: null, missing: ["doctor"] });
  const loading = loadConfig({ cwd: folder.path, environment });
  await expect(loading).rejects.toThrow(/doctor .*is required/);
});

test("where no branch is checked out, the branch is asked for", async () => {
  await using folder = await repository("main", { "go.mod": "" });
  const git = gitIn(folder.path);
  await git.run(["commit", "--quiet", "--allow-empty", "--message=first"]);
  await git.run(["checkout", "--quiet", "--detach"]);
  expect(await init(folder.path)).toMatchObject({ branch: null, missing: ["main_branch"] });
  const loading = loadConfig({ cwd: folder.path, environment });
  await expect(loading).rejects.toThrow(/main_branch .*is required/);
});

test("never overwrites without force", async () => {
  await using folder = await repository("main", { "package.json": TESTED });
  await init(folder.path);
  const file = join(folder.path, ".mycelium/config.yaml");
  await writeFile(file, "mine");
  await expect(init(folder.path)).rejects.toMatchObject({ failure: { code: "config-exists" } });
  expect(await readFile(file, "utf8")).toBe("mine");
  expect((await init(folder.path, true)).written).toEqual([file]);
  expect(await readFile(file, "utf8")).toContain("doctor: npm test");
});

test("keeps what .gitignore says already", async () => {
  await using folder = await repository("main");
  const ignore = join(folder.path, ".mycelium/.gitignore");
  await mkdir(join(folder.path, ".mycelium"));
  await writeFile(ignore, "mine");
  await init(folder.path);
  await init(folder.path, true);
  expect(await readFile(ignore, "utf8")).toBe("mine\ntasks/\n");
});

test("a file called .mycelium is not in the way unnoticed", async () => {
  await using folder = await repository("main", { ".mycelium": "" });
  await expect(init(folder.path, true)).rejects.toMatchObject({
    failure: { code: "config-exists" },
  });
});

test("outside of a work tree it says so", async () => {
  await using folder = await temporaryFolder();
  await expect(init(folder.path)).rejects.toMatchObject({
    failure: { code: "repository-missing" },
  });
  await gitIn(folder.path).run(["init", "--quiet", "--bare", "."]);
  await expect(init(folder.path)).rejects.toMatchObject({
    failure: { code: "repository-missing" },
  });
});

test.each(["true", "1.5", "null", "a${HOME}b", "it's-{x}", "ümlaut"])(
  "a branch called %s is written so that it is read back",
  async (branch) => {
    await using folder = await repository(branch, { "package.json": TESTED });
    await init(folder.path);
    expect((await loadConfig({ cwd: folder.path, environment })).main_branch).toBe(branch);
  },
);
