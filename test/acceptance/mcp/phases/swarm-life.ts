import { expect } from "vitest";
import { becomes, sh, type Answered, type Stage, type Steps } from "../driver.ts";

/** What becomes of a swarm that fails, is cancelled, or would take more than there is. */
export async function swarmLife(stage: Stage, { step, needs, phase }: Steps): Promise<void> {
  const { mcp, golden, at } = stage;
  const from = { golden_workspace: golden ?? "prep-golden", snapshot_name: "golden" };
  const flag = at("/workspace/may-pass");
  let failed = "";
  phase("7g swarms that do not go well");
  await needs(golden, "what failed is told beside what did not", async () => {
    const tasks = [
      { name: "good", command: "true" },
      { name: "bad", command: `echo why >&2; [ -e ${flag} ]` },
    ];
    const answer = await mcp.done("swarm_run", { ...from, tasks });
    expect(answer).toMatchObject({
      state: "failed",
      tasks: [{ success: true }, { success: false, exit_code: 1, stderr: "why\n" }],
      summary: { succeeded: 1, failed: 1, workers_destroyed: 2 },
    });
    failed = String(answer["swarm_id"]);
  });
  await needs(golden, "swarm_status tells the same again", async () => {
    const status = await mcp.done("swarm_status", { swarm_id: failed });
    expect(status).toMatchObject({ state: "failed", summary: { succeeded: 1, failed: 1 } });
  });
  await needs(golden, "swarm_list shows it first", async () => {
    const { swarms } = await mcp.done("swarm_list", { limit: 1 });
    expect(swarms).toMatchObject([{ swarm_id: failed, state: "failed", tasks: 2, succeeded: 1 }]);
  });
  await needs(golden, "swarm_retry does only what had failed again", async () => {
    const again = await mcp.done("swarm_retry", { swarm_id: failed });
    expect(again).toMatchObject({ state: "failed", tasks: [{ attempt: 1 }, { attempt: 2 }] });
  });
  await needs(golden, "what is over is not cancelled", async () => {
    const said = await mcp.refused("swarm_cancel", { swarm_id: failed });
    expect(said).toContain("it cannot be cancelled any more");
  });
  await step("a swarm that is not there is refused", async () => {
    expect(await mcp.refused("swarm_status", { swarm_id: "swarm-0" })).toContain("no swarm");
  });
  await step("a golden that is not there is refused", async () => {
    const input = { golden_workspace: "never", tasks: [{ name: "a", command: "true" }] };
    expect(await mcp.refused("swarm_run", input)).toContain("there is no snapshot");
  });
  await step("a target without a strategy is refused", async () => {
    const input = { ...from, tasks: [{ name: "a", command: "true" }], merge_target: "x" };
    expect(await mcp.refused("swarm_run", input)).toContain("merge_target needs merge_strategy");
  });
  await needs(golden, "cancelling the call ends the swarm's tasks, and keeps nothing", async () => {
    const before = await namesOf(mcp);
    const cancelled = new AbortController();
    const tasks = [{ name: "long", command: "sleep 600" }];
    const call = mcp.call("swarm_run", { ...from, tasks }, { signal: cancelled.signal });
    const outcome = call.catch((error: unknown) => String(error));
    await becomes(async () => {
      const { swarms } = await mcp.done("swarm_list", { limit: 1 });
      const { swarm_id } = (swarms as readonly { readonly swarm_id: string }[])[0] ?? {};
      expect(swarm_id).not.toBe(failed);
      const status = await mcp.done("swarm_status", { swarm_id });
      expect(status).toMatchObject({ tasks: [{ state: "running" }] });
    });
    cancelled.abort("no longer wanted");
    expect(await outcome).toContain("no longer wanted");
    await becomes(async () => expect(await namesOf(mcp)).toEqual(before));
  });
  await needs(golden, "a swarm can be started detached, and is polled by its id", async () => {
    const tasks = [{ name: "d1", command: at("cat /workspace/data/flag") }];
    const started = await mcp.done("swarm_run", { ...from, tasks, detached: true });
    const wait = { operation_id: started["operation_id"], timeout_secs: 240 };
    const ended = await mcp.done("operation_wait", wait);
    expect(ended).toMatchObject({ state: "done", tool: "swarm_run", error: null });
    const { tasks: done } = ended["result"] as Answered;
    expect(done).toMatchObject([{ success: true, stdout: "ready\n" }]);
  });
  await needs(golden, "the golden stands as it stood", async (target) => {
    expect(await sh(mcp, target, at("cd /workspace && git status --porcelain"))).toBe("");
  });
}

async function namesOf(mcp: Stage["mcp"]): Promise<readonly string[]> {
  const { workspaces } = await mcp.done("workspace_list", {});
  return (workspaces as readonly { readonly name: string }[]).map(({ name }) => name);
}
