import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import {
  isRunning,
  makeWorkspace,
  output,
  sh,
  stubborn,
  type ContractMeans,
} from "../../test/support/workspace-rig.ts";

export function describeCommands({ makeRig, seed }: ContractMeans): void {
  test("a command's streams come back apart, with its exit code", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const result = await sh(workspace, "echo out; echo err >&2; exit 7");
    expect(result).toMatchObject({
      ending: { kind: "exited", code: 7 },
      stdout: { text: "out\n", totalBytes: 4, droppedBytes: 0 },
      stderr: { text: "err\n", totalBytes: 4, droppedBytes: 0 },
    });
  });

  test("a program gets its arguments as they are", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const command = ["printf", "%s|", "a b", "$HOME", "*"] as const;
    const { stdout } = await workspace.exec({ command, timeoutMs: 60_000 });
    expect(stdout.text).toBe("a b|$HOME|*|");
  });

  test("a command reads its input to the end", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const { stdout } = await sh(workspace, "wc -c", { stdin: Buffer.alloc(300_000) });
    expect(stdout.text.trim()).toBe("300000");
    expect((await sh(workspace, "cat")).ending).toEqual({ kind: "exited", code: 0 });
  });

  test("the environment is the workspace's and the request's, and nothing of Mycelium's", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    process.env["MYCELIUM_TEST_SECRET"] = "secret";
    try {
      const env = { EXTRA: "more", MYCELIUM_WORKSPACE_ID: "forged" };
      const { stdout } = await sh(workspace, "env", { env });
      const lines = stdout.text.split("\n");
      const wanted = ["GREETING=hello", "EXTRA=more", "MYCELIUM_WORKSPACE_ID=one"];
      expect(lines).toEqual(expect.arrayContaining(wanted));
      expect(stdout.text).not.toContain("SECRET");
    } finally {
      delete process.env["MYCELIUM_TEST_SECRET"];
    }
  });

  test("home and temporary folder are there to be written to, outside of the repository", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await output(workspace, 'touch "$HOME/file" "$TMPDIR/file" "$(mktemp)"');
    expect(await output(workspace, "git status --porcelain")).toBe("");
  });

  test("a command runs in the repository, or where it is told inside the workspace", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    expect((await sh(workspace, "ls main.js", { cwd: "src" })).ending).toMatchObject({ code: 0 });
    const { stdout } = await sh(workspace, "pwd", { cwd: workspace.contextDir });
    expect(stdout.text.trim()).toBe(workspace.contextDir);
  });

  test.each([
    ["a missing program", ["/no/such/program"] as const, undefined],
    ["a missing folder", ["true"] as const, "missing"],
    ["a folder outside", ["true"] as const, "../../.."],
    ["a link to a folder outside", ["true"] as const, "out"],
  ])("%s makes a command unstartable", async (_name, command, cwd) => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await output(workspace, "ln -s / out");
    const place = cwd === undefined ? {} : { cwd };
    const { ending } = await workspace.exec({ command, timeoutMs: 60_000, ...place });
    expect(ending).toEqual({ kind: "unstartable", message: expect.stringMatching(/\w/) });
  });

  test("of a flood the end is kept, all is heard, and the rest is counted", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    let heard = 0;
    const result = await sh(workspace, "head -c 100000000 /dev/zero; printf 'ü end'", {
      outputBytesMax: 5,
      onOutput: (_stream, chunk) => (heard += chunk.length),
    });
    expect(result.ending).toEqual({ kind: "exited", code: 0 });
    expect(result.stdout).toEqual({
      text: " end",
      totalBytes: 100_000_006,
      droppedBytes: 100_000_001,
    });
    expect(heard).toBe(100_000_006);
  });
}

export function describeEndings({ makeRig, seed }: ContractMeans): void {
  test("death by a signal is told with its name", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const { ending } = await sh(workspace, "kill -KILL $$");
    expect(ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
  });

  test.concurrent("at the timeout the whole tree is ended", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const command = `${stubborn("inner")} & ${stubborn("outer")}`;
    const { ending } = await sh(workspace, command, { timeoutMs: 500 });
    expect(ending).toEqual({ kind: "timed-out" });
    expect(await isRunning(workspace, "inner")).toBe(false);
    expect(await isRunning(workspace, "outer")).toBe(false);
  });

  test.concurrent("an abort ends the whole tree, daemons included", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const stop = new AbortController();
    const running = sh(workspace, `(${stubborn("daemon")} &); sleep 60`, { signal: stop.signal });
    await eventually("the daemon runs", async () => isRunning(workspace, "daemon"));
    stop.abort();
    expect((await running).ending).toEqual({ kind: "aborted" });
    expect(await isRunning(workspace, "daemon")).toBe(false);
  });

  test.concurrent("destroying ends what runs and may be done twice", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const running = sh(workspace, stubborn("daemon"));
    await eventually("it runs", async () => isRunning(workspace, "daemon"));
    await workspace.destroy();
    expect((await running).ending).toEqual({ kind: "aborted" });
    await workspace.destroy();
    expect(await rig.provider.list()).toEqual([]);
    expect((await sh(workspace, "true")).ending.kind).not.toBe("exited");
  });

  test("what a command leaves running when it ends is ended too", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const wait = "until test -e daemon; do sleep 0.01; done";
    const { ending } = await sh(workspace, `(${stubborn("daemon")} &); ${wait}`);
    expect(ending).toEqual({ kind: "exited", code: 0 });
    expect(await isRunning(workspace, "daemon")).toBe(false);
  });

  test("a command that is aborted before it starts does not start", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const { ending } = await sh(workspace, "touch started", { signal: AbortSignal.abort() });
    expect(ending).toEqual({ kind: "aborted" });
    expect(await output(workspace, "git status --porcelain")).toBe("");
  });
}
