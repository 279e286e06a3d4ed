import { expect } from "vitest";
import { idsOf, sh, type Stage, type Steps } from "../driver.ts";

/** By the field's names; the ones of vault, swarm and team have their own phases. */
const TOOLS =
  "workspace_create workspace_destroy workspace_start workspace_stop workspace_list " +
  "workspace_info workspace_logs exec exec_background exec_parallel set_env file_write file_read " +
  "file_edit file_list file_transfer snapshot workspace_fork workspace_prepare port_forward " +
  "network_policy workspace_adopt git_clone git_status git_diff git_commit git_push " +
  "workspace_merge operation_status operation_wait operation_cancel";

export async function lifecycle(stage: Stage, { step, phase }: Steps): Promise<void> {
  const { mcp, primary, kind } = stage;
  phase("1 lifecycle");
  await step("the server says who it is", async () => {
    expect(mcp.client.getServerVersion()).toMatchObject({ name: "mycelium" });
    expect(mcp.client.getInstructions()).toContain("workspace_create");
  });
  await step("every tool of the field is there", async () => {
    const { tools } = await mcp.client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(expect.arrayContaining(TOOLS.split(" ")));
  });
  await step("every tool has schemas and says what it may change", async () => {
    for (const tool of (await mcp.client.listTools()).tools) {
      expect(tool.outputSchema?.type).toBe("object");
      expect(tool.annotations?.readOnlyHint).toBeTypeOf("boolean");
      expect(tool.annotations?.destructiveHint).toBeTypeOf("boolean");
    }
  });
  await step("workspace_create makes the primary", async () => {
    const made = await mcp.done("workspace_create", { name: primary });
    expect(made).toMatchObject({ workspace_id: primary, name: primary, kind, state: "running" });
    expect(made["owned"]).toBe(true);
  });
  await step("a name that is taken is refused", async () => {
    const said = await mcp.refused("workspace_create", { name: primary });
    expect(said).toContain(`the name ${primary} is taken`);
  });
  await step("a name that leaves its folder is refused", async () => {
    const said = await mcp.refused("workspace_create", { name: "../traversal" });
    expect(said).toContain("small letters, digits and '-'");
  });
  await step("a name of 64 characters is refused", async () => {
    const said = await mcp.refused("workspace_create", { name: "x".repeat(64) });
    expect(said).toContain("1 to 63");
  });
  await step("without a name one is made up", async () => {
    const made = await mcp.done("workspace_create", {});
    expect(made["name"]).toMatch(/^ws-[0-9a-f]{8}$/);
    await mcp.done("workspace_destroy", { workspace_id: made["workspace_id"] });
  });
  await step("workspace_list shows it as owned", async () => {
    const { workspaces } = await mcp.done("workspace_list", {});
    expect(workspaces).toEqual([expect.objectContaining({ name: primary, owned: true })]);
  });
  await step("workspace_list filters by state", async () => {
    expect(
      idsOf(await mcp.done("workspace_list", { state_filter: "stopped" }), "workspaces"),
    ).toEqual([]);
  });
  await step("workspace_info tells what it is", async () => {
    const info = await mcp.done("workspace_info", { workspace_id: primary });
    expect(info).toMatchObject({ kind, state: "running", forked_from: null, snapshots: [] });
    expect(info["repository_dir"]).toMatch(/^\//);
  });
  await step("workspace_info of what is not there is refused", async () => {
    const said = await mcp.refused("workspace_info", { workspace_id: "nobody" });
    expect(said).toContain('there is no workspace "nobody"');
  });
  await stopAndStart(stage, step);
  await step("workspace_logs shows what was written about it", async () => {
    const { logs } = await mcp.done("workspace_logs", { workspace_id: primary });
    expect(logs).toContainEqual({ log_type: "runtime", text: expect.any(String) });
  });
  await step("a tool that is not there is refused, with one that is like it", async () => {
    const said = await mcp.refused("workspace_creat", {});
    expect(said).toContain("did you mean workspace_create?");
  });
  await step("a parameter that is not known is refused, with one that is like it", async () => {
    const said = await mcp.refused("exec", {
      workspace_id: primary,
      command: "true",
      workdri: ".",
    });
    expect(said).toContain("did you mean workdir?");
  });
}

async function stopAndStart({ mcp, primary }: Stage, step: Steps["step"]): Promise<void> {
  await step("files stay over a stop", async () => {
    await sh(mcp, primary, "echo kept > kept.txt");
    const stopped = await mcp.done("workspace_stop", { workspace_id: primary });
    expect(stopped).toEqual({ workspace_id: primary, state: "stopped" });
  });
  await step("stopping what is stopped is refused", async () => {
    expect(await mcp.refused("workspace_stop", { workspace_id: primary })).toContain("stopped");
  });
  await step("exec in what is stopped is refused", async () => {
    const said = await mcp.refused("exec", { workspace_id: primary, command: "true" });
    expect(said).toContain("VM must be Running");
  });
  await step("workspace_start brings it back", async () => {
    const started = await mcp.done("workspace_start", { workspace_id: primary });
    expect(started).toEqual({ workspace_id: primary, state: "running" });
    expect(await sh(mcp, primary, "cat kept.txt && rm kept.txt")).toBe("kept\n");
  });
  await step("starting what runs is refused", async () => {
    expect(await mcp.refused("workspace_start", { workspace_id: primary })).toContain("running");
  });
}
