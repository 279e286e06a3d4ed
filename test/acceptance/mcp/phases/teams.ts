import { expect } from "vitest";
import { sh, type Stage, type Steps } from "../driver.ts";

const CREW = { name: "crew" };
const ROLES = ["lead", "coder"].map((name) => ({ name, role: name }));

/** Members with workspaces of a golden, their messages and their board. */
export async function teams(stage: Stage, { needs, phase }: Steps): Promise<void> {
  const { mcp, golden, at } = stage;
  const team = (action: string, more: object = {}) =>
    mcp.done("team", { action, ...CREW, ...more });
  phase("7f teams");
  await needs(golden, "each member gets a workspace of the golden", async (from) => {
    const made = await team("create", { roles: ROLES, golden_workspace: from });
    expect(made["team"]).toMatchObject({
      state: "ready",
      members: [{ workspace_id: "crew-lead" }, { workspace_id: "crew-coder" }],
    });
    expect(await sh(mcp, "crew-coder", at("cat /workspace/data/flag"))).toBe("ready\n");
  });
  await needs(golden, "a team of that name is refused", async () => {
    const said = await mcp.refused("team", { action: "create", ...CREW, roles: ROLES });
    expect(said).toContain("there is a team crew already");
  });
  await needs(golden, "a message to all arrives at all others", async () => {
    const sent = { agent: "lead", to: "*", content: "begin", message_id: "first" };
    expect(await team("message", sent)).toMatchObject({ recipients: ["coder"] });
  });
  await needs(golden, "sent again under its id it arrives once, and is received once", async () => {
    await team("message", { agent: "lead", to: "coder", content: "begin", message_id: "first" });
    const { messages, left } = await team("receive", { agent: "coder" });
    expect(messages).toMatchObject([{ from: "lead", content: "begin" }]);
    expect(left).toBe(0);
    expect(await team("receive", { agent: "coder" })).toMatchObject({ messages: [] });
  });
  await needs(golden, "a message to nobody is refused", async () => {
    const input = { action: "message", ...CREW, agent: "lead", to: "nobody", content: "x" };
    expect(await mcp.refused("team", input)).toContain("is no member");
  });
  await needs(golden, "tasks are notes of the vault", async () => {
    await team("add_task", { title: "build" });
    await team("add_task", { title: "test", depends_on: ["task-1"] });
    const note = await mcp.done("vault", { action: "read", path: "teams/crew/board/task-1.md" });
    expect(JSON.stringify(note)).toContain("status: open");
  });
  await needs(golden, "one of two claims at once wins", async () => {
    const claims = await Promise.all(
      ["lead", "coder"].map((agent) =>
        mcp.call("team", { action: "claim", ...CREW, agent, task_id: "task-1" }),
      ),
    );
    expect(claims.filter(({ isError }) => !isError)).toHaveLength(1);
    expect(claims.filter(({ code }) => code === "team-refused")).toHaveLength(1);
  });
  await needs(golden, "what waits for another is claimed when that is done", async () => {
    const second = { action: "claim", ...CREW, agent: "coder", task_id: "task-2" };
    expect(await mcp.refused("team", second)).toContain("waits for task-1");
    const { tasks } = await team("board");
    const [first] = tasks as readonly { readonly assignee: string }[];
    await team("complete", { agent: first?.assignee, task_id: "task-1", result: "built" });
    expect((await team("claim", second))["task"]).toMatchObject({ status: "claimed" });
  });
  await needs(golden, "destroying it destroys its workspaces", async () => {
    expect(await team("destroy")).toMatchObject({ destroyed: ["crew"] });
    expect(await mcp.refused("workspace_info", { workspace_id: "crew-coder" })).toContain(
      'there is no workspace "crew-coder"',
    );
    expect(await mcp.done("team", { action: "list" })).toMatchObject({ teams: [] });
  });
}
