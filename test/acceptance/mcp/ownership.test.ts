import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeSandbox, type Sandbox } from "../../support/cli.ts";
import { connectMcp, type McpClient } from "../../support/mcp-client.ts";
import { becomes, sh } from "./driver.ts";

const LOCAL = { args: ["--kind", "local"] };

test("what a live session owns is not adopted; what an ended one left is, by one only", async () => {
  await using sandbox = await makeSandbox();
  await using first = await connectMcp(sandbox, LOCAL);
  await using second = await connectMcp(sandbox, LOCAL);
  await using third = await connectMcp(sandbox, LOCAL);
  for (const name of ["a", "b"]) await first.done("workspace_create", { name });
  const plain = await second.call("workspace_adopt", { workspace_id: "a" });
  expect(plain).toMatchObject({ code: "session-active", text: expect.stringContaining("another") });
  const forced = await second.refused("workspace_adopt", { workspace_id: "a", force: true });
  expect(forced).toContain("session still active");
  const bulk = await second.done("workspace_adopt", {});
  expect(bulk).toMatchObject({
    adopted: [],
    swarms: [],
    teams: [],
    summary: { session_active: 2, adopted_count: 0 },
  });

  await first.close();
  await becomes(async () => {
    expect((await second.call("workspace_adopt", { workspace_id: "a" })).code).toBe(null);
  });
  const late = await third.call("workspace_adopt", { workspace_id: "a" });
  expect(late.code).toBe("session-active");
  const rest = await Promise.all([second, third].map((one) => one.done("workspace_adopt", {})));
  expect(rest.flatMap(({ adopted }) => adopted as readonly string[])).toEqual(["b"]);
  expect(await sh(second, "a", "echo works")).toBe("works\n");
});

test("a snapshot whose workspace is gone is taken over by its own id", async () => {
  await using sandbox = await makeSandbox();
  await using first = await connectMcp(sandbox, LOCAL);
  await using second = await connectMcp(sandbox, LOCAL);
  const on = { workspace_id: "a" };
  await first.done("workspace_create", { name: "a" });
  await first.done("snapshot", { ...on, action: "create", name: "s" });
  expect((await second.call("workspace_adopt", { workspace_id: "a@s" })).code).toBe(
    "workspace-missing",
  );
  await first.done("workspace_destroy", on);
  const fork = { ...on, snapshot_name: "s", new_name: "b" };
  expect((await second.call("workspace_fork", fork)).code).toBe("not-owner");
  await first.close();
  await becomes(async () => {
    const { code } = await second.call("workspace_adopt", { workspace_id: "a@s" });
    expect(code).toBe(null);
  });
  await second.done("workspace_fork", fork);
});

test("a person's workspace is no session's, and a session's is listed for the person", async () => {
  await using sandbox = await makeSandbox();
  await sandbox.mycelium(["workspace", "create", "persons", "--kind", "local"]);
  await using mcp = await connectMcp(sandbox, LOCAL);
  const adopted = await mcp.call("workspace_adopt", { workspace_id: "persons", force: true });
  expect(adopted).toMatchObject({ code: "not-owner" });
  expect((await mcp.call("workspace_destroy", { workspace_id: "persons" })).code).toBe("not-owner");
  await mcp.done("workspace_create", { name: "agents" });
  const { workspaces } = await sandbox.json(["workspace", "list"]);
  expect(workspaces).toMatchObject([
    { name: "agents", owner: expect.stringMatching(/^session s-/) },
    { name: "persons", owner: "person" },
  ]);
});

test("a long call is not silence: the lease is renewed while it runs", async () => {
  await using sandbox = await makeSandbox();
  writePolicy(sandbox, "lease_seconds: 3\n");
  await using busy = await connectMcp(sandbox, LOCAL);
  await using other = await connectMcp(sandbox, LOCAL);
  await busy.done("workspace_create", { name: "busy" });
  const call = busy.done("exec", { workspace_id: "busy", command: "sleep 6; echo done" });
  await sh(busy, "busy", "sleep 5");
  const taken = await other.call("workspace_adopt", { workspace_id: "busy", force: true });
  expect(taken.code).toBe("session-active");
  expect(await call).toMatchObject({ stdout: "done\n" });
});

test("quota and rates are refused with what to do, and given back", async () => {
  await using sandbox = await makeSandbox();
  writePolicy(sandbox, "quota: {workspaces: 3}\nrates: {exec: {burst: 4, per_minute: 1}}\n");
  await using mcp = await connectMcp(sandbox, LOCAL);
  await mcp.done("workspace_create", { name: "base" });
  await mcp.done("snapshot", { workspace_id: "base", action: "create", name: "s" });
  const fork = { workspace_id: "base", snapshot_name: "s" };
  const tooMany = await mcp.call("workspace_fork", { ...fork, count: 3 });
  expect(tooMany).toMatchObject({
    code: "quota-exceeded",
    text: expect.stringContaining("quota of 3"),
  });
  expect((await mcp.done("workspace_list", {}))["count"]).toBe(1);
  await mcp.done("workspace_fork", { ...fork, count: 2 });
  await mcp.done("workspace_destroy", { workspace_id: "worker-2" });
  await mcp.done("workspace_create", { name: "again" });

  const three = { workspace_ids: ["base", "worker-1", "again"], commands: "true" };
  await mcp.done("exec_parallel", three);
  const limited = await mcp.call("exec_parallel", three);
  expect(limited).toMatchObject({
    code: "rate-limited",
    text: expect.stringContaining("try again"),
  });
  // What was refused took nothing.
  for (let tries = 0; tries < 5; tries += 1) {
    expect((await mcp.call("exec", { workspace_id: "nobody", command: "true" })).code).toBe(
      "workspace-missing",
    );
  }
  await mcp.done("exec", { workspace_id: "base", command: "true" });
  expect((await mcp.call("exec", { workspace_id: "base", command: "true" })).code).toBe(
    "rate-limited",
  );
});

test("servers killed in the middle lose and leak nothing, and others go on", async () => {
  await using sandbox = await makeSandbox();
  const one = await connectMcp(sandbox, LOCAL);
  await using other = await connectMcp(sandbox, LOCAL);
  await one.done("workspace_create", { name: "golden" });
  await sh(one, "golden", "echo safe > work.txt");
  await one.done("snapshot", { workspace_id: "golden", action: "create", name: "s" });
  const input = { workspace_id: "golden", snapshot_name: "s", count: 8, name_prefix: "one" };
  const lost = [
    one.call("exec", { workspace_id: "golden", command: "echo $$ > pid; exec sleep 300" }),
    one.call("workspace_fork", input),
  ].map((call) => call.catch(() => null));
  await becomes(async () =>
    expect(readdirSync(join(sandbox.home, "kept")).join()).toContain("one-"),
  );
  process.kill(one.pid, "SIGKILL");
  await Promise.all(lost);
  await one.close();

  await other.done("workspace_create", { name: "unharmed" });
  const swept = await sandbox.json(["workspace", "sweep"]);
  expect(swept["failed"]).toEqual([]);
  const adopted = await other.done("workspace_adopt", {});
  expect(adopted["adopted"]).toContain("golden");
  expect(adopted["errors"]).toEqual([]);
  expect(await sh(other, "golden", "cat work.txt")).toBe("safe\n");
  const { workspaces } = await other.done("workspace_list", {});
  const list = workspaces as readonly { readonly name: string; readonly state: string }[];
  expect(list.filter(({ state }) => state === "half-made")).toEqual([]);
  for (const { name } of list) await other.done("workspace_destroy", { workspace_id: name });
  const folder = join(sandbox.home, "workspaces");
  expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([]);
});

test("a detached call goes on when its server is killed, and a new session reads its end", async () => {
  await using sandbox = await makeSandbox();
  const one = await connectMcp(sandbox, LOCAL);
  const gate = join(sandbox.repository.folder, "gate");
  const commands = [`while [ ! -e ${gate} ]; do sleep 0.05; done`, "echo made > made.txt"];
  const input = { name: "slow", setup_commands: commands, detached: true };
  const { operation_id: id } = await one.done("workspace_prepare", input);
  process.kill(one.pid, "SIGKILL");
  await one.close();

  await using two = await connectMcp(sandbox, LOCAL);
  const running = await two.done("operation_status", { operation_id: id });
  expect(running).toMatchObject({ state: "running", result: null });
  await sandbox.repository.write("../gate", "");
  const ended = await two.done("operation_wait", { operation_id: id, timeout_secs: 60 });
  expect(ended).toMatchObject({
    state: "done",
    result: { workspace_id: "slow", snapshot_name: "golden", reused_existing: false },
  });
  await two.done("workspace_adopt", { workspace_id: "slow" });
  expect(await sh(two, "slow", "cat made.txt")).toBe("made\n");
});

test("a detached call has the vault that its server has", async () => {
  await using sandbox = await makeSandbox();
  const env = { MYCELIUM_VAULT: join(sandbox.repository.folder, "elsewhere") };
  await using mcp = await connectMcp(sandbox, { ...LOCAL, env });
  await mcp.done("vault", { action: "write", path: "spec.md", content: "from elsewhere" });
  await mcp.done("workspace_create", { name: "golden" });
  await mcp.done("snapshot", { workspace_id: "golden", action: "create", name: "golden" });
  const { operation_id } = await mcp.done("swarm_run", {
    golden_workspace: "golden",
    tasks: [{ name: "reads", command: "cat context.md" }],
    vault_context: [{ kind: "read", query: "spec.md" }],
    detached: true,
  });
  const ended = await mcp.done("operation_wait", { operation_id, timeout_secs: 60 });
  expect(ended).toMatchObject({ state: "done", result: { success: true } });
  expect(JSON.stringify(ended["result"])).toContain("from elsewhere");
});

test("a detached call is cancelled by its id, and leaves nothing", async () => {
  await using sandbox = await makeSandbox();
  await using mcp = await connectMcp(sandbox, LOCAL);
  const input = { name: "never", setup_commands: ["sleep 300"], detached: true };
  const { operation_id: id } = await mcp.done("workspace_prepare", input);
  await becomes(async () => {
    const { progress } = await mcp.done("operation_status", { operation_id: id });
    expect(progress).not.toBeNull();
  });
  await mcp.done("operation_cancel", { operation_id: id });
  const ended = await mcp.done("operation_wait", { operation_id: id, timeout_secs: 60 });
  expect(ended).toMatchObject({ state: "cancelled", result: null });
  expect(await mcp.done("workspace_list", {})).toMatchObject({ count: 0 });
});

test("progress of a long call is told to who asked for it", async () => {
  await using sandbox = await makeSandbox();
  await using mcp = await connectMcp(sandbox, LOCAL);
  const told: string[] = [];
  const input = { name: "told", setup_commands: ["true", "echo hello"] };
  await mcp.done("workspace_prepare", input, {
    onProgress: ({ message }) => told.push(message ?? ""),
  });
  expect(told).toEqual(["true", "echo hello"]);
});

test("the trail tells what was begun before a kill, and holds no key", async () => {
  await using sandbox = await makeSandbox();
  await using mcp: McpClient = await connectMcp(sandbox, LOCAL);
  await mcp.done("workspace_create", { name: "w" });
  const key = "ghp_0123456789abcdefghijABCDEFGHIJ";
  await mcp.done("exec", { workspace_id: "w", command: `echo ${key}` });
  const text = readFileSync(join(sandbox.home, "audit", "sessions.jsonl"), "utf8");
  expect(text).toContain('"tool":"exec"');
  expect(text).toContain("[redacted]");
  expect(text).not.toContain(key);
});

function writePolicy(sandbox: Sandbox, text: string): void {
  mkdirSync(sandbox.home, { recursive: true });
  writeFileSync(join(sandbox.home, "sessions.yaml"), text);
}
