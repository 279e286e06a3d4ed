import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dockerRig, engine, isSkipped, whySkipped } from "../../../test/support/docker-rig.ts";
import { makeLasting, value } from "../../../test/support/lasting-rig.ts";
import { ENV } from "../../../test/support/workspace-rig.ts";
import { describeLastingContract } from "../lasting.contract.ts";
import { isListening } from "../loopback-port.ts";
import { openPortsOf } from "../ports/open-ports.ts";
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

  test("an open port is found and closed by another process, and ends with what it leads to", async () => {
    await using rig = await dockerRig();
    const workspace = await makeLasting(rig, null);
    const forward = value(await workspace.forwardPort({ guestPort: 4000 }));
    const [kept] = openPortsOf(join(rig.root, "workspaces", "one"));
    expect(kept?.keeper?.pid).not.toBe(process.pid);
    const found = await rig.reopen().find({ id: "one", env: ENV });
    expect((await found?.info())?.ports).toEqual([forward]);
    expect(await found?.closePort(4000)).toMatchObject({ ok: true });
    expect(await isListening(forward.hostPort)).toBe(false);
    for (const end of [() => workspace.stop(), () => workspace.destroy()]) {
      const { hostPort } = value(await workspace.forwardPort({ guestPort: 4000 }));
      expect(await isListening(hostPort)).toBe(true);
      await end();
      expect(await isListening(hostPort)).toBe(false);
      await workspace.start();
    }
    expect(await rig.provider.list()).toEqual([]);
  });

  test("disk_mb is refused by name, with kinds that hold it", async () => {
    await using rig = await dockerRig();
    const request = { id: "one", seed: null, env: ENV, limits: { diskMb: 100 } };
    const made = await rig.provider.create(request);
    expect(made.ok ? "" : made.failure.message).toContain("cannot limit the disk");
    expect(made.ok ? "" : made.failure.hint).toMatch(/disk_mb.*use a vm workspace/);
    expect(await rig.provider.list()).toEqual([]);
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
