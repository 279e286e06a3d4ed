import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { delimiter, dirname, join, resolve } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { runProcess } from "../../src/lib/process.ts";
import { makeGitRepository } from "../support/git-repository.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const TOP = resolve(import.meta.dirname, "../..");

/** What a machine needs to be told to reach a registry, and nothing of its user's. */
const PASSED_ON = /^(?:npm_config_(?:registry|cafile|.*proxy)|NODE_EXTRA_CA_CERTS|.*_proxy)$/i;

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Place {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

async function run(command: readonly [string, ...string[]], { cwd, env }: Place): Promise<Ran> {
  const { ending, stdout, stderr } = await runProcess({
    command,
    cwd,
    env: { PATH: pathWithThisNode(), ...env },
    timeoutMs: 120_000,
    outputBytesMax: 4_000_000,
  });
  return {
    code: ending.kind === "exited" ? ending.code : null,
    stdout: stdout.bytes.toString(),
    stderr: stderr.bytes.toString(),
  };
}

/** As on a machine whose own Node is new enough. */
function pathWithThisNode(): string {
  return [dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter);
}

async function listTarball(): Promise<readonly string[]> {
  const { stdout } = await run(["tar", "-tzf", inject("tarball")], { cwd: TOP });
  return stdout
    .trim()
    .split("\n")
    .map((path) => path.replace(/^package\//, ""));
}

describe("the tarball", () => {
  it("holds what is needed and nothing else", async () => {
    const files = await listTarball();
    const top = [...new Set(files.map((path) => path.split("/")[0]))].toSorted();
    expect(top).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "bin",
      "dist",
      "docs",
      "guest",
      "package.json",
      "schemas",
      "skills",
    ]);
    expect(files.filter((path) => path.startsWith("docs/"))).toEqual(["docs/configuration.md"]);
    expect(files.filter((path) => path.startsWith("skills/"))).toEqual([
      "skills/mycelium/SKILL.md",
    ]);
    // Built on the machine that runs it.
    const guest = files.filter((path) => path.startsWith("guest/"));
    expect(guest.filter((path) => !/^guest\/[a-z]+\.[ch]$/.test(path))).toEqual([]);
    const dist = files.filter((path) => path.startsWith("dist/"));
    expect(dist.filter((path) => !/^dist\/(?:[a-z-]+\/)*[a-z0-9-]+\.js$/.test(path))).toEqual([]);
    expect(files.filter((path) => /test|contract/.test(path))).toEqual([]);
  });

  it("names no place on the machine that made it", async () => {
    await using folder = await temporaryFolder();
    await run(["tar", "-xzf", inject("tarball"), "-C", folder.path], { cwd: TOP });
    const found = readdirSync(folder.path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((file) => readFileSync(file, "utf8").includes(TOP));
    expect(found).toEqual([]);
  });

  it("depends on exact versions alone, and runs nothing when it is installed", async () => {
    await using folder = await temporaryFolder();
    await run(["tar", "-xzf", inject("tarball"), "-C", folder.path], { cwd: TOP });
    const manifest = JSON.parse(
      readFileSync(join(folder.path, "package/package.json"), "utf8"),
    ) as {
      dependencies: Record<string, string>;
      scripts: Record<string, string>;
    };
    expect(Object.values(manifest.dependencies).filter((range) => !/^\d/.test(range))).toEqual([]);
    const hooks = ["preinstall", "install", "postinstall"];
    expect(hooks.filter((hook) => hook in manifest.scripts)).toEqual([]);
  });
});

describe("installed from the tarball into an empty project", () => {
  it("plans, runs and reports, from help to a landed commit", async () => {
    await using repository = await makeGitRepository();
    const { folder } = repository;
    const project = join(folder, "project");
    await mkdir(project);
    await writeFile(join(project, "package.json"), '{"name": "empty", "private": true}\n');
    const home = join(folder, "home");
    const install = ["install", "--prefer-offline", "--no-audit", "--no-fund", inject("tarball")];
    const installed = await run(["npm", ...install], {
      cwd: project,
      env: { ...(await registryEnvironment()), HOME: home },
    });
    expect(installed, installed.stderr).toMatchObject({ code: 0 });

    const program = join(project, "node_modules/.bin/mycelium");
    const env = { HOME: home, MYCELIUM_HOME: join(folder, "mycelium-home") };
    const mycelium = (...args: readonly string[]): Promise<Ran> =>
      run([program, ...args], { cwd: repository.path, env });
    const version = JSON.parse(readFileSync(join(TOP, "package.json"), "utf8")) as object;
    expect((await mycelium("--version")).stdout.trim()).toBe(
      (version as { version: string }).version,
    );
    const help = await mycelium("--help");
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toContain("mycelium init");

    expect(await mycelium("init")).toMatchObject({ code: 0 });
    await fillIn(repository.path);
    await repository.write("plan.md", PLAN);
    const planned = await mycelium("plan", "--input", "plan.md");
    expect(planned, planned.stderr).toMatchObject({ code: 0 });
    const done = await mycelium("run", "--agent", "writer");
    expect(done, done.stderr).toMatchObject({ code: 0 });
    expect(await repository.git("show", "main:greeting.txt")).toBe("hello");
    const status = await mycelium("status", "--json");
    expect(JSON.parse(status.stdout)).toMatchObject({ ok: true, status: "complete" });
  }, 180_000);
});

const PLAN = `# Greeting

## Greet

~~~yaml
files: { writes: [greeting.txt] }
~~~

Write hello into greeting.txt.
`;

/** As a person would who followed what \`init\` has written into the file. */
async function fillIn(repository: string): Promise<void> {
  const file = join(repository, ".mycelium/config.yaml");
  const text = readFileSync(file, "utf8").replace(/^#? ?doctor:.*$/m, "doctor: test -f README.md");
  const agents = "agents:\n  writer:\n    command: echo hello > greeting.txt\n";
  await writeFile(file, `${text}\n${agents}`);
}

async function registryEnvironment(): Promise<Record<string, string>> {
  const env = { HOME: process.env["HOME"] ?? "" };
  const cache = await run(["npm", "config", "get", "cache"], { cwd: TOP, env });
  const passed = Object.entries(process.env).filter(([name]) => PASSED_ON.test(name));
  return {
    ...Object.fromEntries(passed.map(([name, value]) => [name, value ?? ""])),
    npm_config_cache: cache.stdout.trim(),
  };
}

/** The first Node on the machine, but for this project's, that is too old; empty where there is none. */
async function findOlderNode(): Promise<string> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const node = join(folder, "node");
    if (folder.includes("node_modules") || !existsSync(node)) continue;
    const { stdout } = await run([node, "--version"], { cwd: TOP });
    if (Number(/^v(\d+)/.exec(stdout)?.[1] ?? 99) < 24) return node;
  }
  return "";
}

const older = await findOlderNode();

describe.skipIf(older === "" && process.env["MYCELIUM_REQUIRE_ALL"] === undefined)(
  "on a Node that is too old (needs one below 24 on the PATH)",
  () => {
    it("says what to do where there is no other", async () => {
      await using folder = await temporaryFolder();
      await run(["tar", "-xzf", inject("tarball"), "-C", folder.path], { cwd: TOP });
      const program = join(folder.path, "package/bin/mycelium.js");
      const told = await run([older, program, "--help"], { cwd: folder.path });
      expect(told).toMatchObject({ code: 2, stdout: "" });
      expect(told.stderr).toMatch(/needs Node 24 or newer; this is \d+\./);
      expect(told.stderr).toContain("Next:");
      expect(told.stderr).not.toContain("    at ");
    });

    it("hands over to the one that was installed beside it, as the advice says", async () => {
      await using folder = await temporaryFolder();
      const modules = join(folder.path, "node_modules");
      await mkdir(join(modules, "node/bin"), { recursive: true });
      await run(["tar", "-xzf", inject("tarball"), "-C", modules], { cwd: TOP });
      const install = `mv package mycelium; for name in commander kysely yaml zod; do
        ln -s ${TOP}/node_modules/$name .; done; ln -s ${process.execPath} node/bin/node`;
      expect(await run(["sh", "-c", install], { cwd: modules })).toMatchObject({ code: 0 });
      const command = [older, join(modules, "mycelium/bin/mycelium.js"), "--version"] as const;
      const told = await run(command, { cwd: folder.path });
      expect(told, told.stderr).toMatchObject({ code: 0 });
      expect(told.stdout.trim()).toMatch(/^\d+\.\d+\.\d+$/);
    });

    it("does not hand over to one that is too old itself", async () => {
      await using folder = await temporaryFolder();
      await run(["tar", "-xzf", inject("tarball"), "-C", folder.path], { cwd: TOP });
      const bin = join(folder.path, "node_modules/node/bin");
      await mkdir(bin, { recursive: true });
      await symlink(older, join(bin, "node"));
      const program = join(folder.path, "package/bin/mycelium.js");
      const told = await run([older, program, "--version"], { cwd: folder.path });
      expect(told).toMatchObject({ code: 2, stdout: "" });
    });
  },
);
