import { join } from "node:path";
import { expect, test } from "vitest";
import { runProcess } from "../../../src/lib/process.ts";
import { makeSandbox, type Sandbox } from "../../support/cli.ts";
import type { Answered } from "../../support/mcp-client.ts";

const ROOT = join(import.meta.dirname, "../../..");
const INSPECTOR = join(ROOT, "node_modules/.bin/mcp-inspector");
const TIMEOUT_MS = 120_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** The official Inspector in its command-line mode, with the packed program as its server. */
async function inspect(sandbox: Sandbox, args: readonly string[]): Promise<Answered> {
  const { env, program, repository } = sandbox;
  const variables = Object.entries(env).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
  const server = [process.execPath, program, "mcp", "--kind", "local"];
  const { ending, stdout, stderr } = await runProcess({
    command: [process.execPath, INSPECTOR, "--cli", ...variables, ...server, ...args],
    cwd: repository.path,
    env,
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  if (ending.kind !== "exited" || ending.code !== 0) {
    throw new Error(`the inspector failed: ${stderr.bytes.toString()}`);
  }
  return JSON.parse(stdout.bytes.toString()) as Answered;
}

function call(tool: string, input: Readonly<Record<string, string>>): readonly string[] {
  const given = Object.entries(input).flatMap(([key, value]) => ["--tool-arg", `${key}=${value}`]);
  return ["--method", "tools/call", "--tool-name", tool, ...given];
}

test("the Inspector lists the tools, resources and prompts, and calls tools", async () => {
  await using sandbox = await makeSandbox();
  const { tools } = await inspect(sandbox, ["--method", "tools/list"]);
  const names = (tools as readonly { readonly name: string }[]).map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["workspace_create", "exec", "workspace_prepare"]));

  const made = await inspect(sandbox, call("workspace_create", { name: "inspected" }));
  expect(made["structuredContent"]).toMatchObject({ workspace_id: "inspected", owned: true });
  // Each call is a client of its own, and the one before has gone.
  const adopted = await inspect(sandbox, call("workspace_adopt", {}));
  expect(adopted["structuredContent"]).toMatchObject({ adopted: ["inspected"] });
  const refused = call("exec", { workspace_id: "nobody", command: "true" });
  await expect(inspect(sandbox, refused)).rejects.toThrow("returned isError:true");

  const { resources } = await inspect(sandbox, ["--method", "resources/list"]);
  expect(resources).toContainEqual(expect.objectContaining({ uri: "mycelium://workspaces" }));
  const { prompts } = await inspect(sandbox, ["--method", "prompts/list"]);
  expect(prompts).toContainEqual(expect.objectContaining({ name: "fan-out" }));
});
