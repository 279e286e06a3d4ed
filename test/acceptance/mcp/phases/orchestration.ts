import { expect } from "vitest";
import { idsOf, sh, type Stage, type Steps } from "../driver.ts";

const GOLDEN = "prep-golden";

/** The design's own: a folder with a flag, and a repository for what comes after. */
const SETUP = [
  "mkdir -p /workspace/data",
  "echo ready > /workspace/data/flag",
  "cd /workspace && git init && git config user.email test@test.com && " +
    "git config user.name Test && git add . && git commit -m init",
];

export async function setEnv(stage: Stage, { step, phase }: Steps): Promise<void> {
  const { mcp, primary } = stage;
  phase("7a set_env");
  await step("two variables are set", async () => {
    const vars = { TEST_VAR: "hello", WORKER_ID: "main" };
    const set = await mcp.done("set_env", { workspace_id: primary, vars });
    expect(set).toMatchObject({ count: 2, status: "set" });
  });
  await step("exec sees them", async () => {
    expect(await sh(mcp, primary, "echo $TEST_VAR")).toContain("hello");
  });
  await step("on a stopped workspace it is refused", async () => {
    const on = { workspace_id: "stopped-one" };
    await mcp.done("workspace_create", { name: "stopped-one" });
    await mcp.done("workspace_stop", on);
    const said = await mcp.refused("set_env", { ...on, vars: { TEST_VAR: "hello" } });
    expect(said).toContain("VM must be Running");
    await mcp.done("workspace_destroy", on);
  });
  await step("variables that decide what a command is are refused", async () => {
    for (const name of ["PATH", "LD_PRELOAD", "BASH_ENV", "IFS", "ENV"]) {
      await mcp.refused("set_env", { workspace_id: primary, vars: { [name]: "x" } });
    }
  });
  await step("they stay over a restart, and can be taken away", async () => {
    const on = { workspace_id: primary };
    await mcp.done("workspace_stop", on);
    await mcp.done("workspace_start", on);
    expect(await sh(mcp, primary, "echo $TEST_VAR")).toBe("hello\n");
    const left = await mcp.done("set_env", { ...on, unset: ["TEST_VAR"] });
    expect(left["names"]).toEqual(["WORKER_ID"]);
  });
}

export async function prepare(stage: Stage, { step, needs, phase }: Steps): Promise<void> {
  const { mcp, at } = stage;
  const input = { name: GOLDEN, setup_commands: SETUP.map(at) };
  phase("7b workspace_prepare");
  await step("set-up commands make a golden", async () => {
    const made = await mcp.done("workspace_prepare", input);
    expect(made).toMatchObject({ snapshot_name: "golden", reused_existing: false });
    expect(made["workspace_id"]).toBe(GOLDEN);
    stage.golden = String(made["workspace_id"]);
  });
  await needs(stage.golden, "the same inputs find the same one", async (golden) => {
    const again = await mcp.done("workspace_prepare", input);
    expect(again).toMatchObject({ reused_existing: true, workspace_id: golden });
  });
  await step("a name that leaves its folder is refused", async () => {
    const said = await mcp.refused("workspace_prepare", { name: "../traversal" });
    expect(said).toContain("small letters, digits and '-'");
  });
  await step("a failing command is an error and leaves nothing", async () => {
    const bad = { name: "prep-fail", setup_commands: ["false"] };
    expect(await mcp.refused("workspace_prepare", bad)).toContain("setup command failed");
    const { workspaces } = await mcp.done("workspace_list", {});
    const names = (workspaces as readonly { readonly name: string }[]).map(({ name }) => name);
    expect(names.filter((name) => /prep-fail|^golden-/.test(name))).toEqual([]);
  });
  await needs(stage.golden, "what the commands made is there", async (golden) => {
    expect(await sh(mcp, golden, at("cat /workspace/data/flag"))).toBe("ready\n");
  });
  await needs(
    stage.golden,
    "other inputs make another one, and the first stays",
    async (golden) => {
      const commands = [...input.setup_commands, at("echo more > /workspace/data/more")];
      const other = { name: GOLDEN, setup_commands: commands };
      const made = await mcp.done("workspace_prepare", other);
      expect(made["reused_existing"]).toBe(false);
      expect(made["workspace_id"]).not.toBe(golden);
      expect(await mcp.done("workspace_prepare", other)).toMatchObject({
        workspace_id: made["workspace_id"],
        reused_existing: true,
      });
      const id = String(made["workspace_id"]);
      expect(await sh(mcp, id, at("cat /workspace/data/more"))).toBe("more\n");
      expect(await sh(mcp, golden, at("test -e /workspace/data/more || echo none"))).toBe("none\n");
      await mcp.done("workspace_destroy", { workspace_id: id });
    },
  );
}

export async function parallel(stage: Stage, { step, needs, phase }: Steps): Promise<void> {
  const { mcp, at } = stage;
  phase("7c exec_parallel");
  await needs(stage.golden, "the golden is forked in two", async (golden) => {
    const fork = { workspace_id: golden, snapshot_name: "golden", count: 2 };
    const forked = await mcp.done("workspace_fork", fork);
    stage.forks = [...idsOf(forked, "workers")];
    expect(stage.forks).toHaveLength(2);
    expect(new Set(stage.forks).size).toBe(2);
  });
  const both = stage.forks.length === 2 ? stage.forks : null;
  await needs(both, "one command runs in both, on machines of their own", async (forks) => {
    const input = { workspace_ids: forks, commands: stage.hostname };
    const { results, summary } = await mcp.done("exec_parallel", input);
    const all = results as readonly { readonly exit_code: number; readonly stdout: string }[];
    expect(all).toHaveLength(2);
    expect(all.map(({ exit_code: code }) => code)).toEqual([0, 0]);
    expect(new Set(all.map(({ stdout }) => stdout)).size).toBe(2);
    expect(summary).toMatchObject({ total: 2, succeeded: 2, failed: 0, timed_out: 0 });
  });
  await needs(both, "a command each runs in its own, in order", async (forks) => {
    const commands = ["echo worker-1", "echo worker-2"];
    const { results } = await mcp.done("exec_parallel", { workspace_ids: forks, commands });
    expect(results).toMatchObject([
      { workspace_id: forks[0], stdout: "worker-1\n", success: true },
      { workspace_id: forks[1], stdout: "worker-2\n", success: true },
    ]);
  });
  await step("no workspaces are refused", async () => {
    const said = await mcp.refused("exec_parallel", { workspace_ids: [], commands: "true" });
    expect(said).toContain("must not be empty");
  });
  await step("21 workspaces are refused", async () => {
    const ids = Array.from({ length: 21 }, () => "fake-id");
    const said = await mcp.refused("exec_parallel", { workspace_ids: ids, commands: "true" });
    expect(said).toContain("max length");
  });
  await step("one command for two workspaces is refused", async () => {
    const ids = stage.forks.length === 2 ? stage.forks : ["fake-1", "fake-2"];
    const input = { workspace_ids: ids, commands: ["echo one"] };
    expect(await mcp.refused("exec_parallel", input)).toContain("length must match");
  });
  await needs(both, "one that fails is told, and the other's work is whole", async (forks) => {
    const commands = ["exit 3", at("cat /workspace/data/flag")];
    const answer = await mcp.done("exec_parallel", { workspace_ids: forks, commands });
    expect(answer["results"]).toMatchObject([
      { exit_code: 3, success: false },
      { exit_code: 0, success: true, stdout: "ready\n" },
    ]);
    expect(answer["summary"]).toMatchObject({ total: 2, succeeded: 1, failed: 1 });
  });
}

export async function adopt(stage: Stage, { step, phase }: Steps): Promise<void> {
  const { mcp, primary } = stage;
  phase("7e workspace_adopt");
  await step("one's own is refused", async () => {
    const said = await mcp.refused("workspace_adopt", { workspace_id: primary, force: false });
    expect(said).toContain("already owned");
  });
  await step("in bulk it answers what was adopted and a summary", async () => {
    const answer = await mcp.done("workspace_adopt", {});
    expect(answer).toMatchObject({ adopted: [], errors: [], summary: { adopted_count: 0 } });
  });
  await step("by force a session that is active is left alone", async () => {
    const said = await mcp.refused("workspace_adopt", { workspace_id: primary, force: true });
    expect(said).toContain("session still active");
  });
}
