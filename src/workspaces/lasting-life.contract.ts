import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { makeLasting, seedOf, value, type LastingMeans } from "../../test/support/lasting-rig.ts";
import { ENV, isRunning, output, sh, stubborn } from "../../test/support/workspace-rig.ts";
import type { Workspace } from "./workspace.ts";

const STOPPED = {
  ok: false,
  failure: {
    code: "workspace-stopped",
    message: expect.stringMatching(/^VM must be Running/),
  },
} as const;

/** Made, stopped, started and destroyed, by whichever process. */
export function describeLife({ makeRig, seed, can }: LastingMeans): void {
  test("tells what it is", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const info = await workspace.info();
    expect(info).toMatchObject({
      id: "one",
      kind: rig.provider.kind,
      state: "running",
      ports: [],
      forkedFrom: null,
    });
    expect(info.hostname).toBe(await output(workspace, "uname -n"));
    if (can.ownHostName) expect(info.hostname).toBe("one");
    expect(info.createdAt).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  test("starts empty where nothing seeds it", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    expect(await output(workspace, "pwd; ls -A")).toBe(workspace.repositoryDir);
    expect(await output(workspace, "git init -q . && git status --porcelain")).toBe("");
    expect(await workspace.collect("0".repeat(40))).toMatchObject({ ok: false });
  });

  test("stopping ends all that runs in it, and starting brings back its files", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const running = sh(workspace, stubborn("daemon"));
    await eventually("it runs", async () => isRunning(workspace, "daemon"));
    expect(await workspace.stop()).toEqual({ ok: true, value: undefined });
    expect((await running).ending.kind).not.toBe("timed-out");
    expect(await workspace.info()).toMatchObject({ state: "stopped" });
    expect(await workspace.start()).toEqual({ ok: true, value: undefined });
    expect(await workspace.info()).toMatchObject({ state: "running" });
    expect(await isRunning(workspace, "daemon")).toBe(false);
    expect(await output(workspace, "cat README.md")).toBe("# Seed");
  });

  test("a stopped one runs nothing and says so", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    await workspace.stop();
    const message = expect.stringMatching(/^VM must be Running/);
    expect((await sh(workspace, "true")).ending).toEqual({ kind: "unstartable", message });
    expect(await workspace.startJob({ command: "true", timeoutMs: 1000 })).toMatchObject(STOPPED);
    expect(await workspace.forwardPort({ guestPort: 8080 })).toMatchObject(STOPPED);
    const files = can.filesWhileStopped === true ? { ok: true } : STOPPED;
    expect(await workspace.writeFile("README.md", "b")).toMatchObject(files);
    expect(await workspace.readFile("README.md", { bytesMax: 10 })).toMatchObject(files);
    expect(await workspace.stop()).toMatchObject(STOPPED);
    expect(await workspace.info()).toMatchObject({ state: "stopped" });
  });

  test("starting what runs is refused", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    expect(await workspace.start()).toMatchObject({ ok: false });
    expect(await workspace.info()).toMatchObject({ state: "running" });
  });

  test("another process finds it as it was left, and works on it", async () => {
    await using rig = await makeRig();
    const first = await makeLasting(rig, seed());
    await first.setEnv({ COLOUR: "blue", SHAPE: "round" });
    await first.writeFile("note.txt", "kept");
    await first.stop();
    const found = await rig.reopen().find({ id: "one", env: ENV });
    expect(await found?.info()).toMatchObject({ state: "stopped", id: "one" });
    expect(await found?.start()).toMatchObject({ ok: true });
    expect(await first.info()).toMatchObject({ state: "running" });
    expect(await first.start()).toMatchObject({ ok: false });
    expect(await found?.unsetEnv(["SHAPE"])).toMatchObject({ ok: true });
    expect(await output(first, 'cat note.txt; echo " $COLOUR${SHAPE-}"')).toBe("kept blue");
    await found?.destroy();
    expect(await rig.provider.list()).toEqual([]);
    expect(await rig.provider.find({ id: "one", env: ENV })).toBeNull();
  });

  test("its runtime's log can be had, as much of its end as was asked for", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    await workspace.stop();
    await workspace.start();
    const log = await workspace.logs({ source: "runtime", bytesMax: 20 });
    expect(Buffer.byteLength(value(log))).toBeLessThanOrEqual(20);
    const console = await workspace.logs({ source: "console", bytesMax: 10_000 });
    const refused = { ok: false, failure: { code: "workspace-unsupported" } };
    expect(console).toMatchObject(can.console ? { ok: true } : refused);
  });

  if (can.networkNone) testCutOff({ makeRig, seed, can });
  else testNoCutOff({ makeRig, seed, can });
  if (can.networkChange === true) testNetworkChange({ makeRig, seed, can });
  else testNoNetworkChange({ makeRig, seed, can });
  if (can.limits) testLimits({ makeRig, seed, can });
  else testNoLimits({ makeRig, seed, can });
}

/** Kept over restarts, seen by every command. */
export function describeVariables({ makeRig, seed }: LastingMeans): void {
  test("variables are set, seen by commands and jobs, kept over a restart, and unset", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    expect(await workspace.setEnv({ COLOUR: "blue", GREETING: "good day" })).toMatchObject({
      ok: true,
    });
    expect(await output(workspace, 'echo "$COLOUR $GREETING"')).toBe("blue good day");
    await workspace.stop();
    await workspace.start();
    expect(value(await workspace.listEnv())).toEqual({ COLOUR: "blue", GREETING: "good day" });
    expect(await output(workspace, "echo $COLOUR")).toBe("blue");
    await workspace.unsetEnv(["COLOUR", "NEVER_SET"]);
    expect(value(await workspace.listEnv())).toEqual({ GREETING: "good day" });
    expect(await output(workspace, "echo ${COLOUR-none}")).toBe("none");
  });

  test("a command's own variables win", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    await workspace.setEnv({ COLOUR: "blue" });
    const { stdout } = await sh(workspace, "echo $COLOUR", { env: { COLOUR: "red" } });
    expect(stdout.text).toBe("red\n");
  });

  test("on a stopped workspace they are neither set nor unset", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    await workspace.setEnv({ COLOUR: "blue" });
    await workspace.stop();
    expect(await workspace.setEnv({ COLOUR: "red" })).toMatchObject(STOPPED);
    expect(await workspace.unsetEnv(["COLOUR"])).toMatchObject(STOPPED);
    await workspace.start();
    expect(value(await workspace.listEnv())).toEqual({ COLOUR: "blue" });
  });

  const TAKING_OVER = ["PATH", "LD_PRELOAD", "BASH_ENV", "ENV", "IFS"];
  test.each(["", "1A", "A B", "A=B", "A\nB", "MYCELIUM_WORKSPACE_ID", ...TAKING_OVER])(
    "%j cannot be set, and none of the others is",
    async (name) => {
      await using rig = await makeRig();
      const workspace = await makeLasting(rig, null);
      const set = await workspace.setEnv({ GOOD: "1", [name]: "x" });
      expect(set).toMatchObject({ ok: false, failure: { details: { reason: "invalid" } } });
      expect(value(await workspace.listEnv())).toEqual({});
    },
  );

  test("changes by several at once are all kept", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    const other = (await rig.reopen().find({ id: "one", env: ENV })) ?? workspace;
    expect(other).not.toBe(workspace);
    const names = Array.from({ length: 8 }, (_, index) => `VARIABLE_${index}`);
    await Promise.all(
      names.map((name, index) => (index % 2 === 0 ? workspace : other).setEnv({ [name]: "1" })),
    );
    expect(Object.keys(value(await workspace.listEnv())).toSorted()).toEqual(names);
  });
}

function testNoCutOff({ makeRig, seed }: LastingMeans): void {
  test("no network is refused, with the kinds that have it", async () => {
    await using rig = await makeRig();
    const from = { id: "one", seed: seedOf(seed()), env: ENV };
    expect(await rig.provider.create({ ...from, network: "none" })).toMatchObject({
      ok: false,
      failure: {
        code: "workspace-unsupported",
        hint: expect.stringMatching(/sandbox.*docker.*vm/),
      },
    });
    expect(await rig.provider.list()).toEqual([]);
  });
}

function testCutOff({ makeRig, seed }: LastingMeans): void {
  test("without network nothing gets out", async () => {
    await using rig = await makeRig();
    const from = { id: "one", seed: seedOf(seed()), env: ENV };
    const workspace = value(await rig.provider.create({ ...from, network: "none" }));
    expect(await workspace.info()).toMatchObject({ network: "none" });
    const devices = await output(workspace, "tail -n +3 /proc/net/dev | cut -d: -f1");
    expect(devices.split(/\s+/).filter((name) => name !== "")).toEqual(["lo"]);
  });
}

/** Names of what leads out of it, and of what does not. */
async function devicesOf(workspace: Workspace): Promise<readonly string[]> {
  const lines = await output(workspace, "tail -n +3 /proc/net/dev | cut -d: -f1");
  return lines.split(/\s+/).filter((name) => name !== "");
}

function testNetworkChange({ makeRig }: LastingMeans): void {
  test("a stopped one's network changes, from its next start on, whoever starts it", async () => {
    await using rig = await makeRig();
    const request = { seed: null, env: ENV };
    const open = value(await rig.provider.create({ ...request, id: "open", network: "allow" }));
    const workspace = value(await rig.provider.create({ ...request, id: "one", network: "none" }));
    const [all, own] = [await devicesOf(open), await devicesOf(workspace)];
    expect(own).toEqual(["lo"]);
    expect(await workspace.setNetwork?.("allow")).toMatchObject({
      ok: false,
      failure: { details: { reason: "running" }, hint: expect.stringContaining("stop it") },
    });
    expect(await workspace.info()).toMatchObject({ network: "none" });
    expect(await devicesOf(workspace)).toEqual(["lo"]);
    value(await workspace.stop());
    expect(await workspace.setNetwork?.("allow")).toEqual({ ok: true, value: undefined });
    expect(await workspace.info()).toMatchObject({ state: "stopped", network: "allow" });
    const other = await rig.reopen().find({ id: "one", env: ENV });
    expect(await other?.info()).toMatchObject({ network: "allow" });
    expect(await other?.start()).toMatchObject({ ok: true });
    expect(await devicesOf(workspace)).toEqual(all);
    value(await workspace.stop());
    expect(await other?.setNetwork?.("none")).toMatchObject({ ok: true });
    value(await workspace.start());
    expect(await devicesOf(workspace)).toEqual(["lo"]);
  });

  test("no restore gives it back a network that was taken from it", async () => {
    await using rig = await makeRig();
    const workspace = value(
      await rig.provider.create({ id: "one", seed: null, env: ENV, network: "allow" }),
    );
    value(await workspace.snapshot("open"));
    value(await workspace.stop());
    expect(await workspace.setNetwork?.("none")).toMatchObject({ ok: true });
    value(await workspace.restore("open"));
    expect(await workspace.info()).toMatchObject({ network: "none" });
  });
}

function testNoNetworkChange({ makeRig }: LastingMeans): void {
  test("its network is the one that it was made with", async () => {
    await using rig = await makeRig();
    const workspace = value(await rig.provider.create({ id: "one", seed: null, env: ENV }));
    expect("setNetwork" in workspace).toBe(false);
  });
}

function testLimits({ makeRig }: LastingMeans): void {
  test("limits are told as they were given, and nothing beside them but the kind's own", async () => {
    await using rig = await makeRig();
    const limits = { memoryMb: 256, pids: 100 };
    const request = { seed: null, env: ENV };
    const plain = value(await rig.provider.create({ ...request, id: "plain" }));
    const workspace = value(await rig.provider.create({ ...request, id: "one", limits }));
    const own = (await plain.info()).limits;
    expect((await workspace.info()).limits).toEqual({ ...own, ...limits });
  });
}

function testNoLimits({ makeRig, seed }: LastingMeans): void {
  test("limits that cannot be held are refused", async () => {
    await using rig = await makeRig();
    const from = { id: "one", seed: seedOf(seed()), env: ENV };
    const made = await rig.provider.create({ ...from, limits: { memoryMb: 64 } });
    expect(made).toMatchObject({ ok: false, failure: { code: "workspace-unsupported" } });
    expect(await rig.provider.list()).toEqual([]);
  });
}
