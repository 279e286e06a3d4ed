import { expect } from "vitest";
import { becomes, sh, type Stage, type Steps } from "../driver.ts";

const MEGABYTE = 1024 * 1024;

export async function exec(stage: Stage, { step, phase }: Steps): Promise<void> {
  const { mcp, primary } = stage;
  const run = (command: string, more: object = {}) =>
    mcp.done("exec", { workspace_id: primary, command, ...more });
  phase("2 exec");
  await step("answers output and exit code", async () => {
    const ran = await run("echo out; echo err >&2; exit 7");
    expect(ran).toMatchObject({ exit_code: 7, stdout: "out\n", stderr: "err\n", signal: null });
  });
  await step("a command that is not there exits with 127", async () => {
    expect(await run("no-such-command-here")).toMatchObject({ exit_code: 127 });
  });
  await step("a signal is told by its name", async () => {
    expect(await run("kill -TERM $$")).toMatchObject({ exit_code: 128, signal: "SIGTERM" });
  });
  await step("workdir is where it runs", async () => {
    await sh(mcp, primary, "mkdir -p deep/er");
    expect((await run("pwd", { workdir: "deep/er" }))["stdout"]).toMatch(/\/deep\/er\n$/);
  });
  await step("workdir outside the workspace is refused", async () => {
    await mcp.refused("exec", { workspace_id: primary, command: "pwd", workdir: "../../../.." });
  });
  await step("env is for this command only", async () => {
    expect(await run('echo "$ONCE"', { env: { ONCE: "a b" } })).toMatchObject({ stdout: "a b\n" });
    expect(await run('echo "$ONCE"')).toMatchObject({ stdout: "\n" });
  });
  await step("any character comes back as it is", async () => {
    expect(await run("printf '\\303\\244\\360\\237\\215\\204'")).toMatchObject({ stdout: "ä🍄" });
  });
  await step("a megabyte of output is whole", async () => {
    const ran = await run("head -c 1048576 /dev/zero | tr '\\0' x", { max_output_bytes: MEGABYTE });
    expect(String(ran["stdout"])).toHaveLength(MEGABYTE);
    expect(ran["truncated_bytes"]).toBe(0);
  });
  await step("more than max_output_bytes is cut, and says so", async () => {
    const ran = await run("head -c 5000 /dev/zero | tr '\\0' x; echo end", {
      max_output_bytes: 104,
    });
    expect(ran["stdout"]).toBe(`${"x".repeat(100)}end\n`);
    expect(ran["truncated_bytes"]).toBe(4900);
  });
  await step("an empty command is refused", async () => {
    await mcp.refused("exec", { workspace_id: primary, command: "" });
  });
  await step("a timeout is an error that says what was said", async () => {
    const command = "echo begun; sleep 300 & echo $! > child.pid; wait";
    const input = { workspace_id: primary, command, timeout_secs: 1 };
    const said = await mcp.refused("exec", input);
    expect(said).toContain("timed out after 1 s");
    expect(said).toContain("begun");
  });
  await step("a timeout ends the whole process tree", async () => {
    await becomes(async () => expect(await sh(mcp, primary, GONE)).toBe("gone\n"));
  });
  await step("cancelling a call ends the whole process tree", async () => {
    await sh(mcp, primary, "rm -f child.pid");
    const cancelled = new AbortController();
    const command = "sleep 300 & echo $! > child.pid; wait";
    const call = mcp.call("exec", { workspace_id: primary, command }, { signal: cancelled.signal });
    const outcome = call.catch((error: unknown) => String(error));
    await becomes(async () => sh(mcp, primary, "test -s child.pid"));
    cancelled.abort("no longer wanted");
    expect(await outcome).toContain("no longer wanted");
    await becomes(async () => expect(await sh(mcp, primary, GONE)).toBe("gone\n"));
  });
  await background(stage, step);
}

/** What has ended and was not yet waited for is gone too. */
const GONE =
  "grep -q '^State:.[^ZX]' /proc/$(cat child.pid)/status 2>/dev/null && echo alive || echo gone";

async function background({ mcp, primary }: Stage, step: Steps["step"]): Promise<void> {
  const act = (action: string, more: object) =>
    mcp.done("exec_background", { workspace_id: primary, action, ...more });
  let job = "";
  await step("exec_background starts a command and goes on", async () => {
    const command = "echo one; while [ ! -e go ]; do sleep 0.1; done; echo two; exit 4";
    const started = await act("start", { command });
    job = String(started["job_id"]);
    expect(started).toMatchObject({ running: true, exit_code: null });
  });
  await step("poll shows what there is while it runs", async () => {
    await becomes(async () => {
      expect(await act("poll", { job_id: job })).toMatchObject({ running: true, stdout: "one\n" });
    });
  });
  await step("poll reads on from an offset, and again from the beginning", async () => {
    await sh(mcp, primary, "touch go");
    await becomes(async () => {
      const rest = await act("poll", { job_id: job, stdout_offset: 4 });
      expect(rest).toMatchObject({ running: false, exit_code: 4, stdout: "two\n", stdout_next: 8 });
    });
    expect(await act("poll", { job_id: job })).toMatchObject({ stdout: "one\ntwo\n" });
  });
  await step("kill ends it", async () => {
    const started = await act("start", { command: "echo up; sleep 300" });
    const ended = { job_id: started["job_id"], signal: 9 };
    await becomes(async () => {
      expect(await act("poll", ended)).toMatchObject({ running: true, stdout: "up\n" });
    });
    await act("kill", ended);
    await becomes(async () => {
      expect(await act("poll", ended)).toMatchObject({ running: false, signal: "SIGKILL" });
    });
  });
  await step("a job that is not there is refused", async () => {
    const input = { workspace_id: primary, action: "poll", job_id: "job-0000000000" };
    expect(await mcp.refused("exec_background", input)).toContain("there is no job");
  });
  await step("starting without a command is refused", async () => {
    const input = { workspace_id: primary, action: "start" };
    expect(await mcp.refused("exec_background", input)).toContain("command: is required");
  });
}
