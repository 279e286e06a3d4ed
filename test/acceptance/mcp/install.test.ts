import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { expect, test } from "vitest";
import { CLIENT_NAMES } from "../../../src/setup/clients/client.ts";
import { makeSandbox, type Sandbox } from "../../support/cli.ts";

const KEY = "sk-of-another-server";

interface Entry {
  readonly command: string;
  readonly args: readonly string[];
}

function jsonOf(path: string): Record<string, Record<string, Entry>> {
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, Record<string, Entry>>;
}

function userFile(sandbox: Sandbox, name: string): string {
  return join(sandbox.env["HOME"] ?? "", name);
}

test("a client that starts what was written gets the kind and the home that were asked for", async () => {
  await using sandbox = await makeSandbox();
  const { repository, env, home } = sandbox;
  const written = await sandbox.mycelium([
    "mcp",
    "install",
    "claude-code",
    "--kind",
    "local",
    "--write",
  ]);
  expect(written).toMatchObject({ code: 0 });
  const file = join(repository.path, ".mcp.json");
  expect(written.stdout).toBe(`Wrote ${file}\n`);
  const { mcpServers } = jsonOf(file);
  const server = mcpServers?.["mycelium"];
  expect(server).toMatchObject({ type: "stdio", command: process.execPath });
  expect(server?.args.slice(1)).toEqual(["mcp", "--kind", "local", "--home", home]);

  // As a client would: by what stands in the file alone, without the variable that names the home.
  const { MYCELIUM_HOME: _home, ...others } = env;
  const { command = "", args = [] } = server ?? {};
  const transport = new StdioClientTransport({
    command,
    args: [...args],
    env: others,
    cwd: repository.path,
  });
  await using client = disposable(new Client({ name: "installed", version: "1.0.0" }));
  await client.client.connect(transport);
  const made = await client.client.callTool({
    name: "workspace_create",
    arguments: { name: "installed" },
  });
  expect(made.structuredContent).toMatchObject({ workspace_id: "installed", kind: "local" });
  const { workspaces } = await sandbox.json(["workspace", "list"]);
  expect(workspaces).toContainEqual(expect.objectContaining({ name: "installed" }));
});

function disposable(client: Client): AsyncDisposable & { readonly client: Client } {
  return { client, [Symbol.asyncDispose]: () => client.close() };
}

test.each(CLIENT_NAMES)("there is something to tell %s", async (client) => {
  await using sandbox = await makeSandbox();
  const report = await sandbox.json(["mcp", "install", client]);
  expect(report).toMatchObject({ ok: true, client, state: "printed" });
});

test("without --write nothing is changed, and what is printed is the configuration", async () => {
  await using sandbox = await makeSandbox();
  const { repository } = sandbox;
  const printed = await sandbox.mycelium([
    "mcp",
    "install",
    "vscode",
    "--kind",
    "sandbox",
    "--name",
    "two",
  ]);
  expect(printed).toMatchObject({ code: 0 });
  const { servers } = JSON.parse(printed.stdout) as { servers: Record<string, Entry> };
  expect(servers["two"]?.args).toEqual(expect.arrayContaining(["--kind", "sandbox"]));
  expect(existsSync(join(repository.path, ".vscode"))).toBe(false);
  const toml = await sandbox.mycelium(["mcp", "install", "codex", "--scope", "user"]);
  expect(toml.stdout).toMatch(/^\[mcp_servers\.mycelium\]\ncommand = ".+"\nargs = \[".+"\]\n$/);
  expect(toml.stderr).toContain(userFile(sandbox, ".codex/config.toml"));
});

test("a person's file keeps its comments, its other servers and who may read it", async () => {
  await using sandbox = await makeSandbox();
  const file = userFile(sandbox, ".claude.json");
  const head = `{\n  // mine\n  "projects": {"/a": {"x": 1.0}},\n  "mcpServers": {\n`;
  const other = `    "other": { "env": { "KEY": "${KEY}" } } // stays`;
  await mkdir(sandbox.env["HOME"] ?? "", { recursive: true });
  await writeFile(file, `${head}${other}\n  }\n}\n`);
  await chmod(file, 0o600);
  const install = ["mcp", "install", "claude-code", "--scope", "user", "--write"];
  expect(await sandbox.mycelium(install)).toMatchObject({ code: 0 });
  const text = await readFile(file, "utf8");
  expect(text.startsWith(`${head}${other.replace(" //", ", //")}\n    "mycelium": {`)).toBe(true);
  expect((await stat(file)).mode & 0o777).toBe(0o600);

  // The same again changes nothing; something else is refused, and nothing of it is told.
  expect(await sandbox.mycelium(install)).toMatchObject({
    code: 0,
    stdout: `Nothing to change in ${file}\n`,
  });
  const differs = await sandbox.mycelium([...install, "--kind", "local"]);
  expect(differs).toMatchObject({ code: 2, stdout: "" });
  expect(differs.stderr).toContain("has another server called mycelium");
  expect(await readFile(file, "utf8")).toBe(text);
  const forced = await sandbox.mycelium([...install, "--kind", "local", "--force"]);
  expect(forced).toMatchObject({ code: 0, stdout: `Changed ${file}\n` });
  expect(await readFile(file, "utf8")).toContain('"local"');
  for (const { stdout, stderr } of [differs, forced]) expect(stdout + stderr).not.toContain(KEY);
});

test("a file that is no JSON is left alone, and so is the skill beside it", async () => {
  await using sandbox = await makeSandbox();
  const { repository } = sandbox;
  const file = join(repository.path, ".mcp.json");
  await repository.write(".mcp.json", '{"mcpServers": ');
  const args = ["mcp", "install", "claude-code", "--write", "--force", "--skill"];
  const refused = await sandbox.mycelium(args);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(/\.mcp\.json is not JSON: \w+ on line 1/);
  expect(await readFile(file, "utf8")).toBe('{"mcpServers": ');
  expect(existsSync(join(repository.path, ".claude"))).toBe(false);
});

test("the skill is printed, and installed where the client looks for it", async () => {
  await using sandbox = await makeSandbox();
  const { repository } = sandbox;
  const printed = await sandbox.mycelium(["mcp", "skill"]);
  expect(printed.stdout).toMatch(/^---\nname: mycelium\ndescription: /);
  const report = await sandbox.json(["mcp", "install", "claude-code", "--write", "--skill"]);
  const file = join(repository.path, ".claude/skills/mycelium/SKILL.md");
  expect(report).toMatchObject({ ok: true, state: "written", skill: { file, state: "written" } });
  expect(await readFile(file, "utf8")).toBe(printed.stdout);

  // A document that somebody has changed is theirs, and nothing is changed beside it either.
  await writeFile(file, "mine\n");
  await writeFile(join(repository.path, ".mcp.json"), "{}\n");
  const args = ["mcp", "install", "claude-code", "--write", "--skill"];
  const refused = await sandbox.mycelium(args);
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.stderr).toContain("says something else");
  expect(await readFile(join(repository.path, ".mcp.json"), "utf8")).toBe("{}\n");
  expect(await sandbox.json([...args, "--force"])).toMatchObject({ skill: { state: "replaced" } });
});

test("a project's file names the program as others have it, where the path finds this one", async () => {
  await using sandbox = await makeSandbox();
  const { repository, program, env } = sandbox;
  const bin = join(repository.folder, "bin");
  await mkdir(bin);
  await symlink(program, join(bin, "mycelium"));
  const PATH = [bin, env["PATH"] ?? ""].join(delimiter);
  const shared = { env: { PATH, MYCELIUM_HOME: "" } };
  const install = ["mcp", "install", "cursor"];
  expect(await sandbox.json(install, shared)).toMatchObject({
    command: "mycelium",
    args: ["mcp"],
    of_this_machine: false,
  });
  expect(await sandbox.json([...install, "--scope", "user"], shared)).toMatchObject({
    command: process.execPath,
    of_this_machine: true,
  });
});

test.each([
  [["claude-desktop", "--scope", "project"], "has no configuration of a project"],
  [["claude-desktop", "--skill"], "reads no skills from a folder"],
  [["codex", "--write"], "TOML, which is only printed"],
  [["cursor", "--http", "0"], "clients that start the server themselves"],
  [["cursor", "--name", "../x"], "make a name"],
  [["nobody"], "nobody"],
])("%j is refused with what to do instead", async (args, why) => {
  await using sandbox = await makeSandbox();
  const refused = await sandbox.mycelium(["mcp", "install", ...args]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain(why);
  expect(refused.stderr).toContain("next: ");
});
