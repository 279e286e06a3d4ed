import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { offeredTools } from "../../../src/mcp/tool-list.ts";
import { makeSandbox, type Sandbox } from "../../support/cli.ts";
import { freePort } from "../../support/free-port.ts";
import { connectMcp, type McpClient } from "../../support/mcp-client.ts";
import { becomes, sh } from "./driver.ts";
import { NAMING, OPEN, TOUCHES, type Owned } from "./touching.ts";

const LOCAL = { args: ["--kind", "local"] };

interface Schema {
  readonly properties?: Readonly<Record<string, { readonly enum?: readonly string[] }>>;
}

test("every tool, action and field that names what somebody owns is in the table", () => {
  const missing: string[] = [];
  const tried = TOUCHES.map(({ tool, input }) => {
    return { tool, input: input({ job: "job", port: 1, swarm: "swarm" }) };
  });
  for (const [name, { listed }] of offeredTools()) {
    const { properties = {} } = listed.inputSchema as Schema;
    const own = tried.filter(({ tool }) => tool === name);
    if (name in OPEN) continue;
    if (own.length === 0) missing.push(name);
    for (const action of properties["action"]?.enum ?? []) {
      const isTried = own.some(({ input }) => input["action"] === action);
      if (!isTried && !(`${name}:${action}` in OPEN)) missing.push(`${name}: ${action}`);
    }
    for (const field of NAMING.filter((key) => key in properties)) {
      if (!own.some(({ input }) => field in input)) missing.push(`${name}: ${field}`);
    }
  }
  expect(missing).toEqual([]);
  const known = new Set(offeredTools().keys());
  const named = [...Object.keys(OPEN).map((key) => key.split(":")[0]), ...tried.map((t) => t.tool)];
  expect(named.filter((name) => !known.has(name ?? ""))).toEqual([]);
});

const GIT = [
  "git init -q -b main && git config user.email a@b.invalid && git config user.name A",
  "echo keep > secret.txt && git add . && git commit -q -m init",
  'git init -q --bare "$PWD/../remote.git" && git remote add origin "$PWD/../remote.git"',
].join(" && ");

/** One of everything that can be owned. */
async function makeOwned(owner: McpClient, sandbox: Sandbox): Promise<Owned> {
  const on = { workspace_id: "owned" };
  await owner.done("workspace_create", { name: "owned" });
  await sh(owner, "owned", GIT);
  for (const name of ["base", "spare"])
    await owner.done("snapshot", { ...on, action: "create", name });
  const port = await freePort();
  const listener = `exec '${process.execPath}' -e 'net.createServer().listen(${port}, "127.0.0.1")'`;
  const start = (command: string) =>
    owner.done("exec_background", { ...on, action: "start", command });
  await start(listener);
  const { job_id: job } = await start("sleep 600");
  const open = { ...on, action: "add", guest_port: port };
  await becomes(() => owner.done("port_forward", open));
  const tasks = [{ name: "fails", command: "exit 3" }];
  const run = { golden_workspace: "owned", snapshot_name: "base", tasks };
  const { swarm_id: swarm } = await owner.done("swarm_run", run);
  const crew = { name: "crew", roles: ["lead", "coder"].map((name) => ({ name, role: name })) };
  const golden = { golden_workspace: "owned", base_snapshot: "base" };
  await owner.done("team", { action: "create", ...crew, ...golden });
  for (const title of ["one", "two"])
    await owner.done("team", { action: "add_task", name: "crew", title });
  const message = { action: "message", name: "crew", agent: "lead", to: "coder" };
  await owner.done("team", { ...message, content: "for the crew" });
  mkdirSync(join(sandbox.home, "transfer"), { recursive: true });
  writeFileSync(join(sandbox.home, "transfer", "stolen"), "mine");
  return { job: String(job), port, swarm: String(swarm) };
}

test("no session touches what is another's by any of them, and whoever took over is served", async () => {
  await using sandbox = await makeSandbox();
  await using owner = await connectMcp(sandbox, LOCAL);
  await using other = await connectMcp(sandbox, LOCAL);
  const owned = await makeOwned(owner, sandbox);
  await other.done("workspace_create", { name: "others" });
  await other.done("snapshot", { workspace_id: "others", action: "create", name: "base" });
  const before = await owner.done("workspace_list", {});
  for (const { tool, input, code = "not-owner" } of TOUCHES) {
    const asked = input(owned);
    const answer = await other.call(tool, asked);
    expect({ tool, asked, code: answer.code }).toEqual({ tool, asked, code });
    expect(answer.text).toMatch(/another session|not this session's/);
    expect(answer.text).not.toContain("keep");
  }
  const uri = "mycelium://workspaces/owned/logs";
  await expect(other.client.readResource({ uri })).rejects.toThrow("another session");
  await expectUntouched(owner, owned);
  expect(await sh(other, "others", "ls")).toBe("");
  const after = await owner.done("workspace_list", {});
  expect(after["workspaces"]).toEqual(before["workspaces"]);

  const adopt = { workspace_id: "owned", force: true };
  expect(await other.refused("workspace_adopt", adopt)).toContain("session still active");
  await owner.close();
  await becomes(async () => {
    const { code, result } = await other.call("workspace_adopt", adopt);
    expect({ code, ...result }).toMatchObject({ code: null, adopted: ["owned"] });
    // What it has a part in comes with it.
    expect(result).toMatchObject({ swarms: [owned.swarm], teams: ["crew"] });
  });
  const rest = await other.done("workspace_adopt", {});
  expect(rest).toMatchObject({ adopted: ["crew-coder", "crew-lead"], errors: [] });
  await sh(other, "others", GIT);
  for (const { tool, input, served } of TOUCHES) {
    const asked = input(owned);
    const answer = await other.call(tool, asked);
    if (served === undefined) {
      expect({ tool, asked, said: answer.isError ? answer.text : "" }).toEqual({
        tool,
        asked,
        said: "",
      });
    } else {
      expect(answer.text).toMatch(served);
    }
  }
  const { workspaces } = await other.done("workspace_list", {});
  const left = (workspaces as readonly { readonly name: string }[])
    .map(({ name }) => name)
    // Its work found no repository at its golden to be merged from.
    .filter((name) => !name.startsWith("swarm-"));
  expect(left).toEqual(["forked", "others", "thieves-thief"]);
});

async function expectUntouched(owner: McpClient, { job, port, swarm }: Owned): Promise<void> {
  const on = { workspace_id: "owned" };
  expect(await sh(owner, "owned", "ls; cat secret.txt")).toBe("secret.txt\nkeep\n");
  const info = await owner.done("workspace_info", on);
  expect(info).toMatchObject({ state: "running", env: [] });
  expect((info["snapshots"] as readonly string[]).toSorted()).toEqual(["base", "spare"]);
  const polled = await owner.done("exec_background", { ...on, action: "poll", job_id: job });
  expect(polled).toMatchObject({ running: true });
  const { port_forwards: ports } = await owner.done("port_forward", { ...on, action: "list" });
  expect(ports).toMatchObject([{ guest_port: port }]);
  const status = await owner.done("swarm_status", { swarm_id: swarm });
  expect(status).toMatchObject({ state: "failed", tasks: [{ attempt: 1 }] });
  const crew = { name: "crew" };
  const { tasks } = await owner.done("team", { action: "board", ...crew });
  expect(tasks).toMatchObject([{ status: "open" }, { status: "open" }]);
  const inbox = { action: "receive", ...crew, agent: "coder", peek: true };
  expect(await owner.done("team", inbox)).toMatchObject({
    messages: [{ content: "for the crew" }],
  });
  const { teams } = await owner.done("team", { action: "list" });
  expect(teams).toHaveLength(1);
}
