import { describe, expect, test } from "vitest";
import {
  dockerImage,
  dockerRig,
  engine,
  isSkipped,
  whySkipped,
} from "../../../test/support/docker-rig.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { makeLasting, value } from "../../../test/support/lasting-rig.ts";
import { mayStartEngines, privateEngine } from "../../../test/support/private-engine.ts";
import { ENV, output, sh } from "../../../test/support/workspace-rig.ts";
import type { LastingWorkspace } from "../lasting-workspace.ts";
import { containerName } from "./layout.ts";

const NETWORK = { network: "none" } as const;
const UNAVAILABLE = {
  ok: false,
  failure: { code: "workspace-unavailable", hint: expect.stringContaining("start it") },
};
const FULL = {
  ok: false,
  failure: { code: "disk-full", hint: expect.stringContaining("free some space") },
};

describe.skipIf(isSkipped)(`trouble from outside of a container${whySkipped}`, () => {
  test("one that is killed in the middle of a command ends that, and is started by the next", async () => {
    await using rig = await dockerRig();
    const workspace = await makeLasting(rig, null);
    const running = sh(workspace, "touch started; sleep 60");
    await eventually("it runs", async () => isThere(workspace, "started"));
    await engine.killContainer(containerName(rig.root, "one"));
    expect((await running).ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
    expect(await output(workspace, "ls")).toBe("started");
  });

  test("a job of one that is killed is told as killed, with what it had said", async () => {
    await using rig = await dockerRig();
    const workspace = await makeLasting(rig, null);
    const command = "echo begun; sleep 60";
    const { job } = value(await workspace.startJob({ command, timeoutMs: 60_000 }));
    const read = async () =>
      value(await workspace.readJob({ job, stdoutFrom: 0, stderrFrom: 0, bytesMax: 100 }));
    await eventually("it speaks", async () => (await read()).stdoutBytes > 0);
    await engine.killContainer(containerName(rig.root, "one"));
    expect(await read()).toMatchObject({
      ending: { kind: "signalled", signal: "SIGKILL" },
      stdout: Buffer.from("begun\n"),
    });
  });

  test("a name that the engine has given away is told, and its holder left alone", async () => {
    await using other = await dockerRig();
    const taken = containerName(other.root, "one");
    await engine.createContainer({ name: taken, Image: await dockerImage(), Cmd: ["true"] });
    const made = await other.provider.create({ id: "one", seed: null, env: ENV });
    expect(made).toMatchObject({ ok: false, failure: { code: "workspace-exists" } });
    expect(made.ok ? null : made.failure.hint).toContain("choose another id");
    expect(await engine.inspectContainer(taken)).not.toBeNull();
    await engine.removeContainer(taken);
    expect(await other.provider.list()).toEqual([]);
  });
});

describe.skipIf(isSkipped || !mayStartEngines)(
  `an engine that fails${whySkipped}${mayStartEngines ? "" : " (run as root: it starts its own)"}`,
  () => {
    test("that is restarted in the middle is told of, and when it is back the work goes on", async () => {
      await using own = await privateEngine(1000);
      const request = { id: "one", seed: null, env: ENV, ...NETWORK };
      const workspace = value(await own.provider.create(request));
      value(await workspace.setEnv({ COLOUR: "blue" }));
      value(await workspace.snapshot("before"));
      const running = sh(workspace, "touch started; sleep 60");
      await eventually("it runs", async () => isThere(workspace, "started"));
      await own.end();
      expect((await running).ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
      expect(await workspace.writeFile("a", "b")).toMatchObject(UNAVAILABLE);
      expect(await workspace.snapshot("a")).toMatchObject(UNAVAILABLE);
      expect((await sh(workspace, "true")).ending).toEqual({
        kind: "unstartable",
        message: expect.stringContaining("no Docker Engine answers"),
      });
      const forks = await own.provider.fork("one@before", [{ id: "two", env: ENV }]);
      expect(forks).toMatchObject([UNAVAILABLE]);
      await own.start();
      expect(await own.provider.list()).toEqual(["one"]);
      expect(await output(workspace, "ls; echo $COLOUR")).toBe("started\nblue");
      const [fork] = await own.provider.fork("one@before", [{ id: "two", env: ENV, ...NETWORK }]);
      expect(fork).toMatchObject({ ok: true });
    });

    test("one that is removed while the engine is down is gone when it is back", async () => {
      await using own = await privateEngine(1000);
      const request = { id: "one", seed: null, env: ENV, ...NETWORK };
      value(await own.provider.create(request));
      await own.end();
      await expect(own.provider.remove("one")).rejects.toThrow(/no Docker Engine answers/);
      expect(await own.provider.find({ id: "one", env: ENV })).toBeNull();
      await own.start();
      expect(await own.provider.list()).toEqual(["one"]);
      await own.provider.remove("one");
      expect(await own.provider.list()).toEqual([]);
    });

    test("on a disk that is full work fails clearly, leaves nothing, and goes on with room", async () => {
      await using own = await privateEngine(1000);
      const request = { id: "one", seed: null, env: ENV, ...NETWORK };
      const workspace = value(await own.provider.create(request));
      const { ending, stderr } = await sh(workspace, "cat /dev/zero > ballast");
      expect(ending).toEqual({ kind: "exited", code: 1 });
      expect(stderr.text).toContain("No space left on device");
      expect(await workspace.writeFile("b", Buffer.alloc(1_000_000))).toMatchObject(FULL);
      expect(await workspace.snapshot("full")).toMatchObject(FULL);
      expect(await own.provider.create({ ...request, id: "two" })).toMatchObject(FULL);
      expect(await own.provider.list()).toEqual(["one"]);
      expect(await own.provider.listSnapshots()).toEqual([]);
      expect(await output(workspace, "rm ballast; echo works")).toBe("works");
      value(await workspace.snapshot("room"));
    });
  },
);

async function isThere(workspace: LastingWorkspace, path: string): Promise<boolean> {
  return (await workspace.readFile(path, { bytesMax: 10 })).ok;
}
