import { expect, test } from "vitest";
import {
  findAgain,
  makeEmpty,
  valueOf,
  type MakeLastingRig,
} from "../../test/support/docker-lasting-rig.ts";
import { output, sh } from "../../test/support/workspace-rig.ts";

const STOPPED = {
  ok: false,
  failure: { code: "workspace-stopped", message: "VM must be Running" },
};

/** Stopped and started, by whichever process; variables that stay. */
export function describeLife(makeRig: MakeLastingRig): void {
  test("begins running, with an empty folder where no seed is given", async () => {
    await using rig = await makeRig();
    const limits = { memoryMb: 256, pids: 100 };
    const workspace = await makeEmpty(rig, "one", { limits, network: "none" });
    expect(await output(workspace, "pwd; ls -A")).toBe(workspace.repositoryDir);
    expect(await workspace.info()).toMatchObject({
      id: "one",
      state: "running",
      hostname: "one",
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      limits,
      network: "none",
      ports: [],
      forkedFrom: null,
    });
  });

  test("is stopped and started by another process, with its files and variables", async () => {
    await using rig = await makeRig();
    const first = await makeEmpty(rig);
    valueOf(await first.setEnv({ COLOUR: "green", SHAPE: "round" }));
    await first.writeFile("note.txt", "kept");
    const second = await findAgain(rig);
    valueOf(await second.stop());
    expect(await first.info()).toMatchObject({ state: "stopped" });
    expect(await second.stop()).toMatchObject({ ok: false });
    valueOf(await first.start());
    expect(await first.start()).toMatchObject({ ok: false });
    valueOf(await second.unsetEnv(["SHAPE"]));
    expect(await output(first, 'cat note.txt; echo " $COLOUR${SHAPE-}"')).toBe("kept green");
    expect(await second.listEnv()).toEqual({ ok: true, value: { COLOUR: "green" } });
  });

  test("does nothing while it is stopped, and says so", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    valueOf(await workspace.stop());
    expect((await sh(workspace, "true")).ending).toEqual({
      kind: "unstartable",
      message: "VM must be Running",
    });
    expect(await workspace.setEnv({ A: "b" })).toMatchObject(STOPPED);
    expect(await workspace.unsetEnv(["A"])).toMatchObject(STOPPED);
    expect(await workspace.writeFile("a", "b")).toMatchObject(STOPPED);
    expect(await workspace.startJob({ command: "true", timeoutMs: 1000 })).toMatchObject(STOPPED);
    expect(await workspace.forwardPort({ guestPort: 80 })).toMatchObject(STOPPED);
    expect(await workspace.info()).toMatchObject({ state: "stopped" });
  });

  test.each(["PATH", "LD_PRELOAD", "BASH_ENV", "IFS", "MYCELIUM_WORKSPACE_ID", "a b", ""])(
    "the variable %j cannot be set",
    async (name) => {
      await using rig = await makeRig();
      const workspace = await makeEmpty(rig);
      expect(await workspace.setEnv({ [name]: "x" })).toMatchObject({ ok: false });
      expect(await workspace.listEnv()).toEqual({ ok: true, value: {} });
    },
  );

  test("its runtime's log says how it ended", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    const runtime = { source: "runtime", bytesMax: 1000 } as const;
    expect(valueOf(await workspace.logs(runtime))).toContain("running");
    valueOf(await workspace.stop());
    expect(valueOf(await workspace.logs(runtime))).toContain("exit code 0");
    expect(await workspace.logs({ source: "console", bytesMax: 1000 })).toMatchObject({ ok: true });
  });
}
