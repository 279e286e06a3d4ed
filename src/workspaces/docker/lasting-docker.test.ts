import { describe, expect, test } from "vitest";
import { dockerRig, engine, isSkipped, whySkipped } from "../../../test/support/docker-rig.ts";
import { makeLasting, value } from "../../../test/support/lasting-rig.ts";
import { ENV, output } from "../../../test/support/workspace-rig.ts";
import { describeLastingContract } from "../lasting.contract.ts";
import { containerName } from "./layout.ts";
import { readRecord, writeRecord } from "./record.ts";
import { join } from "node:path";

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

  test.each([
    ["before the container was removed", true],
    ["after it", false],
  ])(
    "a restore that was cut off %s is finished by whoever finds the workspace",
    async (_when, isThere) => {
      await using rig = await dockerRig();
      const workspace = await makeLasting(rig, null);
      await workspace.writeFile("note", "1");
      value(await workspace.snapshot("first"));
      await workspace.writeFile("note", "2");
      const folder = join(rig.root, "workspaces/one");
      const record = readRecord(folder);
      if (record === null) throw new Error("no record");
      await writeRecord(folder, { ...record, state: "restoring", base: "one@first" });
      if (!isThere) await engine.removeContainer(containerName(rig.root, "one"));
      const found = await rig.reopen().find({ id: "one", env: ENV });
      if (found === null) throw new Error("it was not found");
      expect(await output(found, "cat note")).toBe("1");
      expect(readRecord(folder)).toMatchObject({ state: "ready", base: "one@first" });
    },
  );
});
