import { describe, expect, test } from "vitest";
import { dockerRig, engine, isSkipped, whySkipped } from "../../../test/support/docker-rig.ts";
import { findAgain, makeEmpty, valueOf } from "../../../test/support/docker-lasting-rig.ts";
import { output } from "../../../test/support/workspace-rig.ts";
import { describeFilesAndPorts } from "../lasting-docker-files.contract.ts";
import { describeJobs } from "../lasting-docker-jobs.contract.ts";
import { describeLife } from "../lasting-docker-life.contract.ts";
import { describeSnapshots } from "../lasting-docker-snapshots.contract.ts";
import { containerName } from "./layout.ts";
import { readRecord, writeRecord } from "./record.ts";
import { join } from "node:path";

describe.skipIf(isSkipped)(`docker workspaces that are kept${whySkipped}`, () => {
  const makeRig = (): ReturnType<typeof dockerRig> => dockerRig();
  describeLife(makeRig);
  describeJobs(makeRig);
  describeFilesAndPorts(makeRig);
  describeSnapshots(makeRig);

  test("one whose container is gone is broken, says so, and can be removed", async () => {
    await using rig = await dockerRig();
    const workspace = await makeEmpty(rig);
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
      const workspace = await makeEmpty(rig);
      await workspace.writeFile("note", "1");
      valueOf(await workspace.snapshot("first"));
      await workspace.writeFile("note", "2");
      const folder = join(rig.root, "workspaces/one");
      const record = readRecord(folder);
      if (record === null) throw new Error("no record");
      await writeRecord(folder, { ...record, state: "restoring", base: "one@first" });
      if (!isThere) await engine.removeContainer(containerName(rig.root, "one"));
      expect(await output(await findAgain(rig), "cat note")).toBe("1");
      expect(readRecord(folder)).toMatchObject({ state: "ready", base: "one@first" });
    },
  );
});
