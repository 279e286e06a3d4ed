import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProcess } from "../../../src/lib/process.ts";
import { makeSandbox, type Sandbox } from "../../support/cli.ts";
import { describeWithSandboxes } from "../../support/needs-sandbox.ts";
import { clientScript, describeWithClient } from "../../support/needs-clients.ts";
import { loopbackFence } from "../../support/only-loopback.ts";
import type { ModelRequest, ScriptedCall } from "../../support/stand-in-model.ts";

/** Starts the program of this platform, without the script that npm would have run. */
const CLAUDE = "@anthropic-ai/claude-code/cli-wrapper.cjs";
const BESIDE_MODEL = join(import.meta.dirname, "../../support/beside-model.ts");
const TIMEOUT_MS = 600_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const LONG = { timeout: TIMEOUT_MS };
const FAREWELL = "All of it is done.";
const KEY = "sk-ant-api03-made-up-for-a-stand-in";

/** By the variables that the program documents: nothing that is not asked for leaves it. */
const QUIET = {
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  DISABLE_AUTOUPDATER: "1",
  DISABLE_ERROR_REPORTING: "1",
  DISABLE_TELEMETRY: "1",
};

/**
 * It waits for its server and for a tool as long as the test does, offers its model all tools at
 * once, and lets no call go on in the background: nothing depends on how fast things go.
 */
const PATIENCE = {
  CLAUDE_CODE_MCP_AUTO_BACKGROUND_MS: "0",
  CLAUDE_CODE_MCP_TOOL_IDLE_TIMEOUT: "0",
  ENABLE_TOOL_SEARCH: "false",
  MCP_CONNECTION_NONBLOCKING: "0",
  MCP_CONNECT_TIMEOUT_MS: String(TIMEOUT_MS),
  MCP_TIMEOUT: String(TIMEOUT_MS),
  MCP_TOOL_TIMEOUT: String(TIMEOUT_MS),
};

interface ToolResult {
  readonly id: string;
  readonly isError: boolean;
  readonly text: string;
}

interface Said {
  readonly events: readonly Readonly<Record<string, unknown>>[];
  readonly requests: readonly ModelRequest[];
  /** What the model was told of its calls, in order. */
  readonly results: readonly ToolResult[];
}

interface Talk {
  readonly kind: string;
  /** Whose file the client is told of the server in. */
  readonly scope: "project" | "user";
  readonly calls: readonly ScriptedCall[];
}

/** Claude Code with what `mcp install` wrote for it, and a model that makes these calls. */
async function converse(sandbox: Sandbox, { kind, scope, calls }: Talk): Promise<Said> {
  const { repository, env } = sandbox;
  const home = join(repository.folder, "claude-home");
  await mkdir(home);
  const install = ["mcp", "install", "claude-code", "--kind", kind, "--scope", scope];
  const installed = await sandbox.mycelium([...install, "--write", "--skill"], {
    env: { HOME: home },
  });
  expect(installed, installed.stderr).toMatchObject({ code: 0 });
  const script = join(repository.folder, "script.json");
  const log = join(repository.folder, "requests.jsonl");
  await writeFile(script, JSON.stringify({ calls, farewell: FAREWELL }));
  const project = ["--mcp-config", join(repository.path, ".mcp.json"), "--strict-mcp-config"];
  const claude = [
    process.execPath,
    clientScript(CLAUDE),
    "-p",
    "Do what there is to do.",
    // Its own file it reads by itself; a project's it would ask about first.
    ...(scope === "project" ? project : []),
    "--allowedTools",
    "mcp__mycelium__*",
    "--output-format",
    "stream-json",
    "--verbose",
  ];
  const beside = [process.execPath, BESIDE_MODEL, script, log];
  const [program = "", ...args] = [...(await loopbackFence()), ...beside, ...claude];
  const PATH = `${env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  const { ending, stdout, stderr } = await runProcess({
    command: [program, ...args],
    cwd: repository.path,
    env: { PATH, HOME: home, ANTHROPIC_API_KEY: KEY, ...QUIET, ...PATIENCE },
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  const lines = <T>(text: string) =>
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as T);
  const requests = lines<ModelRequest>(readFileSync(log, "utf8"));
  const code = ending.kind === "exited" ? ending.code : null;
  if (code !== 0) {
    throw new Error(`it ended by ${JSON.stringify(ending)}: ${stderr.bytes.toString()}`);
  }
  const events = lines<Said["events"][number]>(stdout.bytes.toString());
  return { events, requests, results: resultsIn(requests) };
}

interface Block {
  readonly type: string;
  readonly tool_use_id?: string;
  readonly is_error?: boolean;
  readonly content?: string | readonly { readonly text?: string }[];
}

/** Of the last request, which holds the whole conversation. */
function resultsIn(requests: readonly ModelRequest[]): readonly ToolResult[] {
  const conversations = requests.map(({ body }) => blocksOf(body));
  const longest = conversations.toSorted((one, other) => other.length - one.length)[0] ?? [];
  return longest.map(({ tool_use_id: id = "", is_error: isError = false, content = "" }) => ({
    id,
    isError,
    text: typeof content === "string" ? content : content.map(({ text }) => text ?? "").join("\n"),
  }));
}

function blocksOf(body: unknown): readonly Block[] {
  const { messages = [] } = (body ?? {}) as {
    readonly messages?: readonly { readonly content: string | readonly Block[] }[];
  };
  return messages
    .flatMap(({ content }) => (typeof content === "string" ? [] : content))
    .filter(({ type }) => type === "tool_result");
}

/** The server's tools and prompts are known to it, and so is the skill. */
function expectWelcome({ events }: Said): void {
  const welcome = events.find(({ type, subtype }) => type === "system" && subtype === "init");
  expect(welcome).toMatchObject({
    mcp_servers: [{ name: "mycelium", status: "connected" }],
    tools: expect.arrayContaining(["mcp__mycelium__swarm_run"]),
    slash_commands: expect.arrayContaining(["mcp__mycelium__fan-out"]),
    skills: expect.arrayContaining(["mycelium"]),
  });
}

/** It is its proxy too: whatever it would have asked of others had come to the stand-in. */
function expectOnlyLoopback({ requests }: Said): void {
  expect(requests.filter(({ method }) => method === "CONNECT")).toEqual([]);
  expect(requests.filter(({ path }) => !path.startsWith("/"))).toEqual([]);
}

/** A sandbox goes on when its files are removed. */
async function destroyAll(sandbox: Sandbox): Promise<void> {
  const { workspaces } = (await sandbox.json(["workspace", "list"])) as {
    readonly workspaces: readonly { readonly name: string }[];
  };
  for (const { name } of workspaces) {
    expect(await sandbox.mycelium(["workspace", "destroy", name])).toMatchObject({ code: 0 });
  }
}

const IDENTITY = "git config user.name Golden && git config user.email golden@localhost";

function commit(file: string, text: string): string {
  return `echo ${text} > ${file} && git add ${file} && git commit -q -m 'add ${file}'`;
}

await describeWithSandboxes("with sandboxes,", () => {
  describeWithClient("Claude Code", CLAUDE, () => {
    test("prepares a golden and runs a swarm, whose files are there afterwards", LONG, async () => {
      await using sandbox = await makeSandbox();
      try {
        const said = await converse(sandbox, {
          kind: "sandbox",
          scope: "project",
          calls: [
            {
              name: "mcp__mycelium__workspace_prepare",
              input: {
                name: "base",
                repo: ".",
                setup_commands: [IDENTITY, commit("prepared.txt", "ready")],
              },
            },
            {
              name: "mcp__mycelium__swarm_run",
              input: {
                golden_workspace: "base",
                tasks: [
                  { name: "one", command: commit("one.txt", "first") },
                  { name: "two", command: commit("two.txt", "second") },
                ],
                merge_strategy: "sequential",
                merge_target: "base",
              },
            },
          ],
        });
        expectWelcome(said);
        expect(said.results.map(({ isError }) => isError)).toEqual([false, false]);
        const [prepared, swarm] = said.results.map(({ text }) => JSON.parse(text) as object);
        expect(prepared).toMatchObject({ workspace_id: "base", kind: "sandbox" });
        expect(swarm).toMatchObject({
          success: true,
          summary: { total_tasks: 2, succeeded: 2, workers_destroyed: 2 },
          merge: { outcome: "landed", total_commits_applied: 2 },
        });
        expect(said.events.at(-1)).toMatchObject({ type: "result", result: FAREWELL });
        expectOnlyLoopback(said);

        const read = async (file: string) =>
          (await sandbox.mycelium(["workspace", "file", "read", "base", file])).stdout;
        expect(await read("one.txt")).toBe("first\n");
        expect(await read("two.txt")).toBe("second\n");
        expect(await read("prepared.txt")).toBe("ready\n");
        // The checkout that the server was started in is as it was, but for the client's own files.
        expect(await sandbox.repository.git("status", "--porcelain")).toBe(
          "?? .claude/\n?? .mcp.json",
        );
      } finally {
        await destroyAll(sandbox);
      }
    });
  });
});

describeWithClient("Claude Code", CLAUDE, () => {
  test("tells its model what was refused, and what to do next", LONG, async () => {
    await using sandbox = await makeSandbox();
    const said = await converse(sandbox, {
      kind: "local",
      scope: "user",
      calls: [
        {
          name: "mcp__mycelium__exec",
          input: { workspace_id: "nobody", command: "touch made-by-nobody" },
        },
      ],
    });
    expectWelcome(said);
    expect(said.results).toEqual([
      { id: expect.any(String), isError: true, text: expect.stringContaining("nobody") },
    ]);
    expect(said.results[0]?.text).toContain("Next:");
    expect(said.events.at(-1)).toMatchObject({ type: "result", result: FAREWELL });
    expectOnlyLoopback(said);
    expect(await sandbox.json(["workspace", "list"])).toMatchObject({ workspaces: [] });
  });
});
