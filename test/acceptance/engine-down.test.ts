import { describe, expect, it } from "vitest";
import { makeSandbox, type Sandbox } from "../support/cli.ts";
import { emptiedDockerHome, isSkipped, whySkipped } from "../support/docker-rig.ts";
import { connectMcp } from "../support/mcp-client.ts";

/** As if the engine had been stopped: nothing listens there. */
const DOWN = { DOCKER_HOST: "unix:///nowhere/docker.sock" } as const;
const UNAVAILABLE = [
  {
    kind: "docker",
    message: expect.stringContaining("no Docker Engine answers at /nowhere/docker.sock"),
    hint: expect.stringContaining("start it"),
  },
];

/** A workspace of each of two kinds, with a snapshot each, and one that is half made. */
async function prepare(sandbox: Sandbox): Promise<void> {
  const done = async (args: readonly string[]): Promise<void> => {
    expect(await sandbox.mycelium(args)).toMatchObject({ code: 0 });
  };
  await done(["image", "build", "--from", "host"]);
  await done(["workspace", "create", "box", "--kind", "docker"]);
  await done(["workspace", "create", "plain", "--kind", "local"]);
  for (const name of ["box", "plain"])
    await done(["workspace", "snapshot", "create", name, "base"]);
  const env = { MYCELIUM_CRASH_AT: "workspace.recorded" };
  const killed = await sandbox.mycelium(["workspace", "create", "half", "--kind", "local"], {
    env,
  });
  expect(killed.signal).toBe("SIGKILL");
}

describe.skipIf(isSkipped)(`with Docker Engine down${whySkipped}`, () => {
  it("what is asked of all kinds answers for the others, and says what to do", async () => {
    await using sandbox = await makeSandbox();
    await using _emptied = emptiedDockerHome(sandbox.home);
    await prepare(sandbox);
    const json = (...args: string[]) => sandbox.json(["workspace", ...args], { env: DOWN });
    const list = await json("list");
    expect(list).toMatchObject({
      workspaces: [
        { name: "box", kind: "docker", state: "unavailable" },
        { name: "half", state: "half-made" },
        { name: "plain", kind: "local", state: "running" },
      ],
      unavailable: UNAVAILABLE,
    });
    const { stdout } = await sandbox.mycelium(["workspace", "list"], { env: DOWN });
    expect(stdout).toContain("docker is unavailable: no Docker Engine answers");
    expect(stdout).toContain("Next: start it");
    expect(await json("snapshot", "list")).toMatchObject({
      snapshots: [{ id: "plain@base" }],
      unavailable: UNAVAILABLE,
    });
    expect(await json("sweep")).toMatchObject({
      removed: [{ id: "half", why: "half-made" }],
      failed: [
        { id: "docker", message: expect.stringMatching(/no Docker Engine answers.*start it/) },
      ],
    });
    const { kinds } = await json("probe");
    expect(kinds).toContainEqual(expect.objectContaining({ kind: "docker", available: false }));
    for (const act of [["info"], ["start"], ["exec"]]) {
      const command = act[0] === "exec" ? ["true"] : [];
      expect(await json(...act, "box", ...command)).toMatchObject({
        ok: false,
        error: { code: "workspace-unavailable", hint: expect.stringContaining("start it") },
      });
    }
    const up = await sandbox.json(["workspace", "list"]);
    expect(up).toMatchObject({
      workspaces: [
        { name: "box", state: "running" },
        { name: "plain", state: "running" },
      ],
    });
    expect(up["unavailable"]).toBeUndefined();
    expect(await json("destroy", "box")).toMatchObject({
      error: { code: "workspace-unavailable", hint: expect.stringContaining("start it") },
    });
    expect(await sandbox.json(["workspace", "destroy", "box"])).toMatchObject({ ok: true });
  });

  it("agents are told the same, and go on with other kinds", async () => {
    await using sandbox = await makeSandbox();
    await using _emptied = emptiedDockerHome(sandbox.home);
    await prepare(sandbox);
    await using mcp = await connectMcp(sandbox, { args: ["--kind", "docker"], env: DOWN });
    expect(await mcp.done("workspace_list", {})).toMatchObject({
      workspaces: [
        { name: "box", state: "unavailable" },
        { name: "half", state: "half-made" },
        { name: "plain", state: "running" },
      ],
      unavailable: UNAVAILABLE,
    });
    expect(await mcp.refused("workspace_create", { name: "new" })).toContain("start it");
    const made = await mcp.done("workspace_create", { name: "new", kind: "local" });
    expect(made).toMatchObject({ name: "new", state: "running" });
  });
});
