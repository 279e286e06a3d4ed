import { expect, it } from "vitest";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { endMarkedProcesses } from "../../src/lib/process.ts";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";
import { describeWithSandboxes } from "../support/needs-sandbox.ts";

const TASKS = [
  { id: "a", files: { writes: ["a.txt"] } },
  { id: "b", files: { writes: ["b.txt"] } },
  { id: "c", files: { writes: ["c.txt"] }, dependencies: ["a"] },
] as const;

/** Writes the file of its manifest, and what it can see of the host. */
const WRITER = [
  'echo "$(id -u) $(pwd)" > "$MYCELIUM_TASK_ID.txt"',
  "test ! -e /root && test ! -e /var/run/docker.sock",
].join(" && ");

async function prepare(sandbox: Sandbox): Promise<void> {
  await sandbox.configure({
    max_parallel: 2,
    agent: "writer",
    agents: { writer: { command: WRITER, reports_usage: false } },
    workspace: { network: "none", pids: 256 },
    landing: { linger_seconds: 0 },
  });
  await sandbox.tasks(TASKS);
}

async function landed(sandbox: Sandbox): Promise<readonly string[]> {
  const { repository } = sandbox;
  const files = ["a", "b", "c"].map((task) => repository.git("show", `main:${task}.txt`));
  return Promise.all(files);
}

const RUN = ["run", "--run-id", "r1", "--workspace", "sandbox"] as const;
const sandboxesOf = (sandbox: Sandbox): string => join(sandbox.home, "sandboxes/workspaces");

await describeWithSandboxes("a run in sandboxes", () => {
  it("lands every task, from inside, and leaves no sandbox", async () => {
    await using sandbox = await makeSandbox();
    await prepare(sandbox);
    expect(await sandbox.mycelium(RUN)).toMatchObject({ code: 0 });
    expect(await landed(sandbox)).toEqual([
      "1000 /workspace",
      "1000 /workspace",
      "1000 /workspace",
    ]);
    const created = ofType(sandbox.events("r1"), "workspace.created");
    expect(created.map(({ payload }) => payload["kind"])).toEqual([
      "sandbox",
      "sandbox",
      "sandbox",
    ]);
    expect(await readdir(sandboxesOf(sandbox))).toEqual([]);
  });

  it.each(["agent.ended:1", "task.validated:2", "landing.ref-moved:1"])(
    "comes to the same end after a kill at %s",
    async (at) => {
      await using sandbox = await makeSandbox();
      await prepare(sandbox);
      const killed = await sandbox.mycelium(RUN, { env: { MYCELIUM_CRASH_AT: at } });
      expect(killed.signal).toBe("SIGKILL");
      expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
      expect(await landed(sandbox)).toHaveLength(3);
      expect(sandbox.state("r1").status).toBe("complete");
      expect(await sandbox.mycelium(["clean", "--force"])).toMatchObject({ code: 0 });
      for (const id of await readdir(sandboxesOf(sandbox))) expect(id).toBe("none is left");
      expect(await endLeftIn(sandbox)).toBe(0);
    },
  );
});

/** Sandboxes of this home that still run. */
async function endLeftIn(sandbox: Sandbox): Promise<number> {
  let count = 0;
  for (const task of ["a", "b", "c"]) {
    const folder = join(sandboxesOf(sandbox), `r1.${task}.1`);
    count += await endMarkedProcesses(`MYCELIUM_SANDBOX=${folder}`);
  }
  return count;
}
