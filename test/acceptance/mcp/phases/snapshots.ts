import { expect } from "vitest";
import { idsOf, sh, type Stage, type Steps } from "../driver.ts";

export async function snapshots(stage: Stage, { step, phase }: Steps): Promise<void> {
  const { mcp, primary, at } = stage;
  const on = { workspace_id: primary };
  const file = at("/workspace/state.txt");
  phase("6 snapshots, forks, merge");
  await step("snapshot create freezes the state under a name", async () => {
    await sh(mcp, primary, `echo first > ${file}`);
    const taken = await mcp.done("snapshot", { ...on, action: "create", name: "first" });
    expect(taken["snapshot"]).toMatchObject({
      snapshot_id: `${primary}@first`,
      references: expect.any(Number),
    });
  });
  await step("a name that is taken is refused", async () => {
    const said = await mcp.refused("snapshot", { ...on, action: "create", name: "first" });
    expect(said).toContain(`the name ${primary}@first is taken`);
  });
  await step("snapshot list shows it", async () => {
    const { snapshots: list } = await mcp.done("snapshot", { ...on, action: "list" });
    expect(list).toEqual([expect.objectContaining({ name: "first", workspace_id: primary })]);
  });
  await step("memory is refused by name where it cannot be frozen", async () => {
    const input = { ...on, action: "create", name: "memory", include_memory: true };
    if (stage.kind === "vm") await mcp.done("snapshot", input);
    else expect(await mcp.refused("snapshot", input)).toContain("vm workspaces are frozen with");
  });
  await step("snapshot restore brings the state back", async () => {
    await sh(mcp, primary, `echo second > ${file}; touch ${at("/workspace/new.txt")}`);
    await mcp.done("snapshot", { ...on, action: "restore", name: "first" });
    expect(await sh(mcp, primary, `cat ${file}`)).toBe("first\n");
    expect(await sh(mcp, primary, at("test -e /workspace/new.txt || echo none"))).toBe("none\n");
  });
  await step("restoring what is not there is refused", async () => {
    await mcp.refused("snapshot", { ...on, action: "restore", name: "never" });
  });
  await step("creating without a name is refused", async () => {
    const said = await mcp.refused("snapshot", { ...on, action: "create" });
    expect(said).toContain("name: is required");
  });
  await step("workspace_fork makes one, with the files and an identity of its own", async () => {
    const input = { ...on, snapshot_name: "first", new_name: "single" };
    const forked = await mcp.done("workspace_fork", input);
    expect(forked).toMatchObject({ forked_from: `${primary}@first`, succeeded: 1, failures: [] });
    expect(await sh(mcp, "single", `cat ${file}`)).toBe("first\n");
    const name = await sh(mcp, "single", stage.hostname);
    expect(name).toBe("single\n");
  });
  await step("what a fork writes is its own", async () => {
    await sh(mcp, "single", `echo forked > ${file}`);
    expect(await sh(mcp, primary, `cat ${file}`)).toBe("first\n");
  });
  await step("a snapshot that a fork stands on cannot be deleted", async () => {
    await mcp.refused("snapshot", { ...on, action: "delete", name: "first" });
  });
  await step("a fork of what is not there is refused", async () => {
    await mcp.refused("workspace_fork", { ...on, snapshot_name: "never" });
  });
  await step("21 forks at once are refused", async () => {
    const said = await mcp.refused("workspace_fork", { ...on, snapshot_name: "first", count: 21 });
    expect(said).toContain("max length");
  });
  await step("no fork at all is refused", async () => {
    await mcp.refused("workspace_fork", { ...on, snapshot_name: "first", count: 0 });
  });
  await step("a fork can be started detached, and is polled by its id", async () => {
    const input = { ...on, snapshot_name: "first", count: 2, name_prefix: "detached" };
    const started = await mcp.done("workspace_fork", { ...input, detached: true });
    expect(started["operation_id"]).toMatch(/^op-[0-9a-f]{32}$/);
    const poll = { operation_id: started["operation_id"], timeout_secs: 120 };
    const ended = await mcp.done("operation_wait", poll);
    expect(ended).toMatchObject({ state: "done", tool: "workspace_fork", error: null });
    const ids = idsOf(ended["result"] as Record<string, unknown>, "workers");
    expect(ids).toEqual(["detached-1", "detached-2"]);
    for (const id of ids) expect(await sh(mcp, id, `cat ${file}`)).toBe("first\n");
    expect(
      await mcp.done(
        "operation_status",
        poll.operation_id === null ? {} : { operation_id: poll.operation_id },
      ),
    ).toMatchObject({ state: "done" });
  });
  await step("an operation that is not there is refused", async () => {
    const input = { operation_id: "op-00000000000000000000000000000000" };
    expect(await mcp.refused("operation_status", input)).toContain("there is no operation");
    await mcp.refused("operation_wait", { operation_id: "../../x" });
  });
  await merging(stage, step);
}

const IDENTITY = "git config user.email a@example.invalid && git config user.name A";

async function merging({ mcp, primary, at }: Stage, step: Steps["step"]): Promise<void> {
  const repo = at("/workspace/merging");
  const commit = (file: string, text: string) =>
    `cd ${repo} && echo ${text} > ${file} && git add . && git commit -q -m '${file}: ${text}'`;
  const target = "merge-target";
  const sources = ["merge-1", "merge-2"];
  const input = { target_workspace: target, path: repo, strategy: "sequential" };
  await step("forks commit on a common base", async () => {
    const init = `mkdir -p ${repo} && cd ${repo} && git init -q && ${IDENTITY}`;
    await sh(mcp, primary, `${init} && echo base > base.txt && git add . && git commit -q -m base`);
    const on = { workspace_id: primary };
    await mcp.done("snapshot", { ...on, action: "create", name: "base" });
    const fork = { ...on, snapshot_name: "base" };
    await mcp.done("workspace_fork", { ...fork, new_name: target });
    await mcp.done("workspace_fork", { ...fork, count: 2, name_prefix: "merge" });
    for (const [at, id] of sources.entries()) await sh(mcp, id, commit(`${at}.txt`, `from-${at}`));
  });
  await step("a dry run of a merge changes nothing", async () => {
    const before = await sh(mcp, target, `cd ${repo} && git rev-parse HEAD`);
    const dry = { ...input, source_workspaces: sources, dry_run: true };
    expect(await mcp.done("workspace_merge", dry)).toMatchObject({ outcome: "dry-run" });
    expect(await sh(mcp, target, `cd ${repo} && git rev-parse HEAD`)).toBe(before);
  });
  await step("workspace_merge brings the work of both into the target", async () => {
    const merged = await mcp.done("workspace_merge", { ...input, source_workspaces: sources });
    expect(merged).toMatchObject({
      success: true,
      total_commits_applied: 2,
      merged_sources: sources,
      conflicts: [],
    });
    expect(await sh(mcp, target, `cd ${repo} && cat 0.txt 1.txt`)).toBe("from-0\nfrom-1\n");
  });
  await step("merging again finds nothing new", async () => {
    const merged = await mcp.done("workspace_merge", { ...input, source_workspaces: sources });
    expect(merged).toMatchObject({ success: true, total_commits_applied: 0 });
  });
  await step("a conflict leaves the target as it is, and is told by path", async () => {
    await sh(mcp, target, commit("clash.txt", "ours"));
    await sh(mcp, "merge-1", commit("clash.txt", "theirs"));
    const before = await sh(mcp, target, `cd ${repo} && git rev-parse HEAD`);
    const merged = await mcp.done("workspace_merge", { ...input, source_workspaces: ["merge-1"] });
    expect(merged).toMatchObject({ success: false, outcome: "conflicts", merged_sources: [] });
    expect(merged["conflicts"]).toContainEqual(
      expect.objectContaining({ source: "merge-1", path: "clash.txt" }),
    );
    expect(await sh(mcp, target, `cd ${repo} && git rev-parse HEAD`)).toBe(before);
  });
  await step("no sources, unknown strategies and the target as a source are refused", async () => {
    const none = { ...input, source_workspaces: [] };
    expect(await mcp.refused("workspace_merge", none)).toContain("must not be empty");
    await mcp.refused("workspace_merge", {
      ...input,
      source_workspaces: sources,
      strategy: "hope",
    });
    await mcp.refused("workspace_merge", { ...input, source_workspaces: [target] });
  });
}
