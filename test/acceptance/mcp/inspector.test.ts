import { expect, test } from "vitest";
import { toolOperations } from "../../../src/control/tools.ts";
import { runProcess } from "../../../src/lib/process.ts";
import { makeSandbox, type Sandbox } from "../../support/cli.ts";
import { endProcessesOf } from "../../support/marked-processes.ts";
import type { Answered } from "../../support/mcp-client.ts";
import { clientScript, describeWithClient } from "../../support/needs-clients.ts";

const INSPECTOR = "@modelcontextprotocol/inspector/clients/launcher/build/index.js";
const TIMEOUT_MS = 120_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const LONG = { timeout: 600_000 };

/** What it exits with where a tool says that it failed. */
const TOOL_FAILED = 5;

interface Inspected {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The official Inspector in its command-line mode, with the packed program as its server. */
async function inspect(sandbox: Sandbox, args: readonly string[]): Promise<Inspected> {
  const { env, program, repository } = sandbox;
  const variables = Object.entries(env).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
  const server = [process.execPath, program, "mcp", "--kind", "local"];
  const { ending, stdout, stderr } = await runProcess({
    command: [process.execPath, clientScript(INSPECTOR), "--cli", ...variables, ...server, ...args],
    cwd: repository.path,
    env,
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  return {
    code: ending.kind === "exited" ? ending.code : null,
    stdout: stdout.bytes.toString(),
    stderr: stderr.bytes.toString(),
  };
}

/** Requires that it exits with 0, and answers what it printed. */
async function answered(sandbox: Sandbox, method: string, ...args: readonly string[]) {
  const { code, stdout, stderr } = await inspect(sandbox, ["--method", method, ...args]);
  if (code !== 0) throw new Error(`${method} exited with ${code}: ${stderr}`);
  return JSON.parse(stdout) as Answered;
}

function toolArgs(tool: string, input: Readonly<Record<string, string>>): readonly string[] {
  const given = Object.entries(input).flatMap(([key, value]) => ["--tool-arg", `${key}=${value}`]);
  return ["--tool-name", tool, ...given];
}

interface ListedTool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: { readonly type: string };
  readonly outputSchema: { readonly type: string };
  readonly annotations: { readonly readOnlyHint: boolean; readonly destructiveHint: boolean };
}

describeWithClient("the Inspector", INSPECTOR, () => {
  test("lists every tool with its schemas, and finds none that clients cannot read", async () => {
    await using sandbox = await makeSandbox();
    // Strictly: it exits with another code where a schema is an error to some client.
    const listed = (await answered(sandbox, "tools/list", "--strict")) as {
      readonly tools: readonly ListedTool[];
    };
    const { tools } = listed;
    const names = [...toolOperations().keys()].toSorted();
    expect(tools.map(({ name }) => name).toSorted()).toEqual(names);
    for (const { name, description, inputSchema, outputSchema, annotations } of tools) {
      expect({ name, in: inputSchema.type, out: outputSchema.type }).toEqual({
        name,
        in: "object",
        out: "object",
      });
      expect(description).not.toBe("");
      const tool = toolOperations().get(name)?.tool;
      expect(annotations).toMatchObject({
        readOnlyHint: tool?.readOnly,
        destructiveHint: tool?.destructive,
      });
    }
  });

  test("calls tools, and is told of one that fails", LONG, async () => {
    await using sandbox = await makeSandbox();
    const call = async (tool: string, input: Readonly<Record<string, string>> = {}) => {
      const answer = await answered(sandbox, "tools/call", ...toolArgs(tool, input));
      return answer["structuredContent"] as Answered;
    };
    try {
      const made = await call("workspace_create", { name: "inspected" });
      expect(made).toMatchObject({ workspace_id: "inspected", kind: "local", owned: true });
      // Each call is a client of its own, and the one before has gone.
      expect(await call("workspace_adopt")).toMatchObject({ adopted: ["inspected"] });
      const note = { action: "write", path: "inspected.md", content: "Seen by the Inspector." };
      expect(await call("vault", note)).toMatchObject({ action: "write", path: "inspected.md" });
      const { workspaces } = await call("workspace_list");
      expect(workspaces).toEqual([expect.objectContaining({ name: "inspected" })]);

      const args = toolArgs("exec", { workspace_id: "nobody", command: "echo" });
      const failed = await inspect(sandbox, ["--method", "tools/call", ...args]);
      expect(failed.code).toBe(TOOL_FAILED);
      const answer = JSON.parse(failed.stdout) as Answered;
      expect(answer).toMatchObject({
        isError: true,
        _meta: { "mycelium/error": { code: "workspace-missing" } },
      });
      expect(answer["content"][0].text).toContain("Next:");
    } finally {
      endProcessesOf(sandbox.home);
    }
  });

  test("lists and reads resources, and fills in prompts", LONG, async () => {
    await using sandbox = await makeSandbox();
    const { resources } = await answered(sandbox, "resources/list");
    expect(resources).toContainEqual(expect.objectContaining({ uri: "mycelium://workspaces" }));
    const { resourceTemplates } = await answered(sandbox, "resources/templates/list");
    expect(resourceTemplates).toContainEqual(
      expect.objectContaining({ uriTemplate: "mycelium://workspaces/{name}" }),
    );
    await sandbox.mycelium(["vault", "write", "seen.md", "--content", "As it was written."]);
    const uri = "mycelium://vault/seen.md";
    const { contents } = await answered(sandbox, "resources/read", "--uri", uri);
    expect(contents).toEqual([{ uri, mimeType: "text/markdown", text: "As it was written." }]);

    const { prompts } = await answered(sandbox, "prompts/list");
    expect(prompts).toContainEqual(expect.objectContaining({ name: "fan-out" }));
    const wanted = ["--prompt-name", "fan-out", "--prompt-args", "job=Sort the words."];
    const { messages } = await answered(sandbox, "prompts/get", ...wanted);
    expect(messages[0].content.text).toContain("Sort the words.");
    expect(messages[0].content.text).toContain("swarm_run");
    const missing = await inspect(sandbox, ["--method", "prompts/get", "--prompt-name", "none"]);
    expect(missing.code).not.toBe(0);
    expect(missing.stderr).toContain("there is no prompt");
  });
});
