import { describe, expect, it } from "vitest";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";
import { engine, isSkipped, whySkipped } from "../support/docker-rig.ts";

const WRITER = 'read -r file; id -un >> "$file"; cat /proc/1/cmdline | head -c 4 >> "$file"';

async function prepare(sandbox: Sandbox): Promise<void> {
  await sandbox.json(["image", "build", "--from", "host"]);
  await sandbox.configure({
    agent: "writer",
    agents: { writer: { command: WRITER, reports_usage: false } },
    workspace: { kind: "local", network: "allow", memory_mb: 256, pids: 200 },
    landing: { linger_seconds: 0 },
  });
  const tasks = ["1", "2", "3"].map((id) => ({
    id,
    files: { writes: [`${id}.txt`] },
    spec: `${id}.txt\n`,
  }));
  await sandbox.tasks(tasks);
}

const containersOf = (sandbox: Sandbox): ReturnType<typeof engine.listContainers> =>
  engine.listContainers({ "mycelium.home": `${sandbox.home}/docker` });

describe.skipIf(isSkipped)(`the main job in containers${whySkipped}`, () => {
  it("lands every task, and no container stays", async () => {
    await using sandbox = await makeSandbox();
    await prepare(sandbox);
    const run = await sandbox.mycelium(["run", "--run-id", "r1", "--workspace", "docker"]);
    expect(run).toMatchObject({ code: 0 });
    expect(sandbox.state("r1").tasks.map(({ state }) => state)).toEqual(Array(3).fill("complete"));
    expect(await sandbox.repository.git("show", "main:2.txt")).toBe("worker\nperl");
    const created = ofType(sandbox.events("r1"), "workspace.created");
    expect(created.map(({ payload }) => payload["kind"])).toContain("docker");
    expect(await containersOf(sandbox)).toEqual([]);
  });

  it("one command builds the images, once for the same inputs, and refuses what is none", async () => {
    await using sandbox = await makeSandbox();
    const build = ["image", "build", "--for", "docker", "--from", "host"];
    const first = await sandbox.json(build);
    expect(first).toMatchObject({ for: "docker", alias: "mycelium/workspace:latest" });
    expect(await sandbox.json(build)).toEqual({ ...first, cached: true });
    const refused = await sandbox.mycelium(["image", "build", "--for", "local"]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("image.build: for") });
  });

  it.each(["workspace.created:2", "agent.ended:1", "landing.ref-moved:1"])(
    "comes to the same end after a kill at %s, and what was left stands still until it is cleaned",
    async (at) => {
      await using sandbox = await makeSandbox();
      await prepare(sandbox);
      const args = ["run", "--run-id", "r1", "--workspace", "docker"];
      const killed = await sandbox.mycelium(args, { env: { MYCELIUM_CRASH_AT: at } });
      expect(killed.signal).toBe("SIGKILL");
      expect(await sandbox.mycelium(["resume", "r1"])).toMatchObject({ code: 0 });
      expect(await sandbox.repository.git("show", "main:3.txt")).toBe("worker\nperl");
      expect((await containersOf(sandbox)).filter(({ running }) => running)).toEqual([]);
      expect(await sandbox.mycelium(["clean", "--force"])).toMatchObject({ code: 0 });
      expect(await containersOf(sandbox)).toEqual([]);
    },
  );

  it("a run that was killed and given up is cleaned away, containers too", async () => {
    await using sandbox = await makeSandbox();
    await prepare(sandbox);
    const env = { MYCELIUM_CRASH_AT: "agent.ended:1" };
    await sandbox.mycelium(["run", "--run-id", "r1", "--workspace", "docker"], { env });
    expect(await containersOf(sandbox)).not.toEqual([]);
    expect(await sandbox.mycelium(["clean", "--run-id", "r1", "--force"])).toMatchObject({
      code: 0,
    });
    expect(await containersOf(sandbox)).toEqual([]);
  });
});
