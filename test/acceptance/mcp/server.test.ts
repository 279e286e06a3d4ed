import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { OPERATIONS, type Operation } from "../../../src/control/operations.ts";
import { makeSandbox } from "../../support/cli.ts";
import { connectMcp } from "../../support/mcp-client.ts";

test("makes a workspace, runs a command in it and destroys it, over real pipes", async () => {
  await using sandbox = await makeSandbox();
  await using mcp = await connectMcp(sandbox, { args: ["--kind", "local"] });
  const made = await mcp.done("workspace_create", { name: "first" });
  expect(made).toMatchObject({
    workspace_id: "first",
    kind: "local",
    state: "running",
    owned: true,
  });
  const ran = await mcp.done("exec", { workspace_id: "first", command: "echo $((6 * 7)); exit 3" });
  expect(ran).toMatchObject({ exit_code: 3, stdout: "42\n", stderr: "", timed_out: false });
  expect(await mcp.done("workspace_destroy", { workspace_id: "first" })).toEqual({
    workspace_id: "first",
    destroyed: true,
    kept_snapshots: [],
  });
  expect(await mcp.done("workspace_list", {})).toEqual({ workspaces: [], count: 0 });
  expect(existsSync(join(sandbox.home, "workspaces", "first"))).toBe(false);
  expect(readdirSync(join(sandbox.home, "kept")).filter((name) => !name.startsWith("."))).toEqual(
    [],
  );
});

test("offers what the one list of operations has a tool for, and nothing else", async () => {
  await using sandbox = await makeSandbox();
  await using mcp = await connectMcp(sandbox);
  const { tools } = await mcp.client.listTools();
  const all: readonly Operation[] = Object.values(OPERATIONS);
  const names = all.flatMap(({ tool }) => tool?.name ?? []);
  expect(tools.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
  for (const tool of tools) {
    expect(tool).toMatchObject({
      inputSchema: { type: "object" },
      outputSchema: { type: "object" },
      annotations: { readOnlyHint: expect.any(Boolean), destructiveHint: expect.any(Boolean) },
    });
  }
});
