import { connect } from "node:net";
import { readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { value } from "../../test/support/lasting-rig.ts";
import { describeWithSandboxes } from "../../test/support/needs-sandbox.ts";
import { sandboxRig, type SandboxRig } from "../../test/support/sandbox-rig.ts";
import { ENV, isRunning, output, stubborn } from "../../test/support/workspace-rig.ts";
import { signalMarkedProcesses } from "../lib/process.ts";
import type { LastingWorkspace } from "./lasting-workspace.ts";
import { isListening } from "./loopback-port.ts";
import { sandboxMarker } from "./sandbox/start.ts";

const GUEST_PORT = 7777;

/** Says what it hears back, in capitals, once its caller has said all. */
const SERVER = `use Socket;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die; setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
bind($s, pack_sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or die; listen($s, 5) or die;
while (accept(my $c, $s)) { local $/; my $heard = <$c>; print $c uc $heard; close $c }`;

async function makeServing(
  rig: SandboxRig,
  network: "none" | "allow",
  port = GUEST_PORT,
): Promise<LastingWorkspace> {
  const made = await rig.provider.create({ id: "one", seed: null, env: ENV, network });
  const workspace = value(made);
  const command = ["perl", "-e", SERVER, String(port)] as const;
  value(await workspace.startJob({ command, timeoutMs: 60_000 }));
  const listens = `grep -q ':${port.toString(16).toUpperCase()} ' /proc/net/tcp`;
  const isUp = async () =>
    (await workspace.exec({ command: listens, timeoutMs: 60_000 })).ending.kind === "exited";
  await eventually("it listens", isUp);
  return workspace;
}

/** Says something and answers all that comes back. */
async function ask(port: number, text: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const heard: Buffer[] = [];
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  socket.on("data", (chunk) => heard.push(chunk));
  socket.on("close", () => resolve(Buffer.concat(heard).toString()));
  socket.on("error", () => resolve("nobody"));
  socket.end(text);
  return promise.finally(() => socket.destroy());
}

await describeWithSandboxes("sandboxes seen from outside", () => {
  test("a port is reached without a network, by its real number, until it is closed", async () => {
    await using rig = await sandboxRig();
    const workspace = await makeServing(rig, "none");
    const { hostPort } = value(await workspace.forwardPort({ guestPort: GUEST_PORT }));
    expect(hostPort).not.toBe(GUEST_PORT);
    await eventually("it answers", async () => (await ask(hostPort, "hello")) === "HELLO");
    const large = "x".repeat(3_000_000);
    expect((await ask(hostPort, large)) === large.toUpperCase()).toBe(true);
    const other = await rig.reopen().find({ id: "one", env: ENV });
    expect(await other?.info()).toMatchObject({ ports: [{ guestPort: GUEST_PORT, hostPort }] });
    expect(await other?.forwardPort({ guestPort: GUEST_PORT })).toMatchObject({
      value: { hostPort },
    });
    const taken = await workspace.forwardPort({ guestPort: 8888, hostPort });
    expect(taken).toMatchObject({ ok: false });
    // A snapshot leaves it open.
    value(await workspace.snapshot("open"));
    expect(await ask(hostPort, "still")).toBe("STILL");
    expect(await other?.closePort(GUEST_PORT)).toMatchObject({ ok: true });
    expect(await isListening(hostPort)).toBe(false);
    expect(await workspace.info()).toMatchObject({ ports: [] });
  });

  test("a shared network's port is the machine's own, and can have another number as well", async () => {
    await using rig = await sandboxRig();
    const workspace = await makeServing(rig, "allow", 7791);
    await eventually("it is open", () => isListening(7791));
    expect(await workspace.forwardPort({ guestPort: 7791 })).toMatchObject({
      value: { hostPort: 7791 },
    });
    value(await workspace.closePort(7791));
    const { hostPort } = value(await workspace.forwardPort({ guestPort: 7791, hostPort: 7792 }));
    expect(hostPort).toBe(7792);
    expect(await ask(hostPort, "hello")).toBe("HELLO");
    value(await workspace.stop());
    expect(await isListening(7791)).toBe(false);
    expect(await isListening(7792)).toBe(false);
  });

  test("one whose processes were all killed says so, and is started again with its files", async () => {
    await using rig = await sandboxRig();
    const workspace = await makeServing(rig, "none");
    const { hostPort } = value(await workspace.forwardPort({ guestPort: GUEST_PORT }));
    await workspace.setEnv({ COLOUR: "blue" });
    await output(workspace, "echo kept > kept");
    const { job } = value(
      await workspace.startJob({ command: stubborn("daemon"), timeoutMs: 60_000 }),
    );
    await eventually("it runs", async () => isRunning(workspace, "daemon"));
    const marker = sandboxMarker(join(await realpath(rig.root), "workspaces/one"));
    expect(signalMarkedProcesses(marker, "SIGKILL")).toBeGreaterThan(3);
    await eventually("it ends", async () => (await workspace.info()).state === "stopped");
    await eventually("nobody listens", async () => !(await isListening(hostPort)));
    const found = await rig.reopen().find({ id: "one", env: ENV });
    expect(await found?.info()).toMatchObject({ state: "stopped", ports: [] });
    const request = { job, stdoutFrom: 0, stderrFrom: 0, bytesMax: 100 };
    const hasEnded = async () => value(await workspace.readJob(request)).ending !== null;
    await eventually("its job has ended", hasEnded);
    expect(await found?.start()).toMatchObject({ ok: true });
    expect(await workspace.info()).toMatchObject({ state: "running" });
    expect(await output(workspace, "cat kept; echo $COLOUR")).toBe("kept\nblue");
    expect(await isRunning(workspace, "daemon")).toBe(false);
  });

  test("its own log says what became of it", async () => {
    await using rig = await sandboxRig();
    const made = await rig.provider.create({ id: "one", seed: null, env: ENV });
    const workspace = value(made);
    value(await workspace.stop());
    value(await workspace.start());
    value(await workspace.snapshot("good"));
    value(await workspace.restore("good"));
    const log = value(await workspace.logs({ source: "runtime", bytesMax: 10_000 }));
    const events = log.split("\n").map((line) => line.replace(/^\S+ /, ""));
    expect(events).toEqual([
      "stopped",
      "started",
      "snapshotted as one@good",
      "restored to one@good",
      "",
    ]);
    expect(await readFile(join(rig.root, "workspaces/one/log"), "utf8")).toBe(log);
  });
});
