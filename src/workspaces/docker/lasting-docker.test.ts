import { describe, expect, test } from "vitest";
import { dockerRig, engine, isSkipped, whySkipped } from "../../../test/support/docker-rig.ts";
import { makeLasting, value } from "../../../test/support/lasting-rig.ts";
import { describeLastingContract } from "../lasting.contract.ts";
import { containerName } from "./layout.ts";

describe.skipIf(isSkipped)(`docker workspaces that are kept${whySkipped}`, () => {
  describeLastingContract("docker", () => dockerRig(), {
    ownHostName: true,
    networkNone: true,
    limits: true,
    // A container's memory cannot be had without CRIU, which Docker Engine has as an experiment only.
    liveForks: false,
    anyHostPort: true,
    console: true,
  });

  test("its runtime's log says how it ended", async () => {
    await using rig = await dockerRig();
    const workspace = await makeLasting(rig, null);
    const runtime = { source: "runtime", bytesMax: 1000 } as const;
    expect(value(await workspace.logs(runtime))).toContain("running");
    value(await workspace.stop());
    expect(value(await workspace.logs(runtime))).toContain("exit code 0");
  });

  test("a command that cannot start makes no job", async () => {
    await using rig = await dockerRig();
    const workspace = await makeLasting(rig, null);
    const command = ["/no/such/program"] as const;
    expect(await workspace.startJob({ command, timeoutMs: 1000 })).toMatchObject({ ok: false });
  });

  test("one whose container is gone is broken, says so, and can be removed", async () => {
    await using rig = await dockerRig();
    const workspace = await makeLasting(rig, null);
    await engine.removeContainer(containerName(rig.root, "one"));
    expect(await workspace.info()).toMatchObject({ state: "broken" });
    for (const act of [
      () => workspace.start(),
      () => workspace.stop(),
      () => workspace.snapshot("a"),
    ]) {
      expect(await act()).toMatchObject({ ok: false, failure: { code: "workspace-missing" } });
    }
    await workspace.destroy();
    expect(await rig.provider.list()).toEqual([]);
  });
});
