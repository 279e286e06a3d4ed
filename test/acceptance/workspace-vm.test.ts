import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { createVmProvider } from "../../src/workspaces/vm.ts";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";
import { value } from "../support/lasting-rig.ts";
import { seedRepository } from "../support/seed-repository.ts";
import { VM_CACHE, VM_PREPARE_TIMEOUT_MS, describeWithMachines, vmRig } from "../support/vm-rig.ts";

const TASKS = [
  { id: "a", files: { writes: ["a.txt"] } },
  { id: "b", files: { writes: ["b.txt"] } },
  { id: "c", files: { writes: ["c.txt"] }, dependencies: ["a"] },
] as const;

const RUN = ["run", "--run-id", "r1", "--workspace", "vm"] as const;

async function prepare(sandbox: Sandbox): Promise<void> {
  await sandbox.configure({
    max_parallel: 2,
    landing: { batch_max: 2, linger_seconds: 0 },
    // Commands see a machine: no tree of the host's is below the workspace.
    doctor: "test -f README.md && test -d /workspace && test ! -e /home/user",
    workspace: { kind: "vm", memory_mb: 256, network: "none" },
  });
  await sandbox.tasks(TASKS);
}

/** The provider keeps its own in `vm` below this. */
const env = { MYCELIUM_CACHE: VM_CACHE };

const rootOf = ({ home }: Sandbox): string => join(home, "vms");

/** What a run leaves in its home once it is over. */
function leftWorkspaces(sandbox: Sandbox): Promise<readonly string[]> {
  return providerOf(sandbox).list();
}

function providerOf(sandbox: Sandbox) {
  return createVmProvider({ root: rootOf(sandbox), cacheDir: join(VM_CACHE, "vm") });
}

async function removeAll(sandbox: Sandbox): Promise<void> {
  const provider = providerOf(sandbox);
  for (const id of await provider.list()) await provider.remove(id);
}

await describeWithMachines("the main job in machines", () => {
  describe("in machines", { timeout: VM_PREPARE_TIMEOUT_MS }, () => {
    beforeAll(async () => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      const { gitDir, objectFormat, head: commit } = seed;
      const from = { gitDir, objectFormat, commit, branch: "task" };
      value(await rig.provider.create({ id: "warm", seed: from, env: {}, network: "none" }));
    }, VM_PREPARE_TIMEOUT_MS);

    it("lands every task of a plan, and leaves no machine behind", async () => {
      await using sandbox = await makeSandbox();
      await prepare(sandbox);
      expect(await sandbox.mycelium(RUN, { env })).toMatchObject({ code: 0 });
      const states = sandbox.state("r1").tasks.map(({ id, state }) => `${id} ${state}`);
      expect(states).toEqual(["a complete", "b complete", "c complete"]);
      const files = await sandbox.repository.git("ls-tree", "-r", "--name-only", "main");
      expect(files.split("\n")).toEqual(expect.arrayContaining(["a.txt", "b.txt", "c.txt"]));
      const [created] = ofType(sandbox.events("r1"), "workspace.created");
      expect(created?.payload["kind"]).toBe("vm");
      expect(await leftWorkspaces(sandbox)).toEqual([]);
    });

    it.each(["workspace.created:1", "agent.ended:2", "landing.intended:1"])(
      "goes on after a kill at %s, and sweeps the machines of the life before",
      async (at) => {
        await using sandbox = await makeSandbox();
        await prepare(sandbox);
        try {
          const killed = await sandbox.mycelium(RUN, { env: { ...env, MYCELIUM_CRASH_AT: at } });
          expect(killed.signal).toBe("SIGKILL");
          expect(await sandbox.mycelium(["resume", "r1"], { env })).toMatchObject({ code: 0 });
          const states = sandbox.state("r1").tasks.map(({ state }) => state);
          expect(states).toEqual(["complete", "complete", "complete"]);
          expect(await leftWorkspaces(sandbox)).toEqual([]);
        } finally {
          await removeAll(sandbox);
        }
      },
    );

    it("refuses an image that nobody built, with what builds it", async () => {
      await using sandbox = await makeSandbox();
      await prepare(sandbox);
      await sandbox.configure({ max_attempts: 1, workspace: { kind: "vm", image: "nowhere" } });
      const run = await sandbox.mycelium(RUN, { env });
      expect(run.code).toBe(1);
      expect(JSON.stringify(sandbox.events("r1"))).toContain("no image called nowhere");
      expect(await leftWorkspaces(sandbox)).toEqual([]);
    });
  });
});
