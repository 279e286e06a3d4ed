import { createServer, type Server } from "node:net";
import { expect, test } from "vitest";
import { askPort } from "../../test/support/ask-port.ts";
import { eventually } from "../../test/support/eventually.ts";
import { value, type LastingMeans } from "../../test/support/lasting-rig.ts";
import { ENV } from "../../test/support/workspace-rig.ts";

/** Answers each line with "heard LINE", in Perl and in Node: not every kind sees the host's Node. */
const inPerl = (port: number): readonly [string, ...string[]] => [
  "perl",
  "-e",
  `use Socket; socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);
   bind(S, pack_sockaddr_in(${port}, INADDR_LOOPBACK)) or die; listen(S, 5);
   while (accept(C, S)) { my $l = <C>; syswrite(C, "heard $l"); close C }`,
];
const inNode = (port: number): readonly [string, ...string[]] => [
  process.execPath,
  "-e",
  `require("node:net").createServer({ allowHalfOpen: true }, (s) =>
     s.once("data", (l) => s.end("heard " + l))).listen(${port}, "127.0.0.1")`,
];

/** Ports opened on this machine's loopback. */
export function describePorts({ makeRig, can }: LastingMeans): void {
  const network = can.networkNone ? { network: "none" as const } : {};
  const without = can.networkNone ? ", of one without a network too" : "";

  test(`a port that is listened at answers on loopback until it is closed${without}`, async () => {
    await using rig = await makeRig();
    const request = { id: "one", seed: null, env: ENV, ...network };
    const workspace = value(await rig.provider.create(request));
    const port = await freePort();
    const command = can.anyHostPort ? inPerl(port) : inNode(port);
    const { job } = value(await workspace.startJob({ command, timeoutMs: 60_000 }));
    const open = () => workspace.forwardPort({ guestPort: port });
    await eventually("it can be opened", async () => (await open()).ok);
    const forward = value(await open());
    expect(forward).toMatchObject({ guestPort: port, hostPort: expect.any(Number) });
    expect(forward.hostPort).toBeGreaterThan(0);
    expect((await workspace.info()).ports).toEqual([forward]);
    await eventually("it answers", async () => (await askPort(forward.hostPort, "one\n")) !== "");
    expect(await askPort(forward.hostPort, "two\n")).toBe("heard two\n");
    expect(await workspace.closePort(port)).toMatchObject({ ok: true });
    expect(await workspace.info()).toMatchObject({ ports: [] });
    expect(await workspace.closePort(port)).toMatchObject({ ok: false });
    if (!can.anyHostPort) value(await workspace.signalJob({ job, signal: "SIGKILL" }));
    await eventually(
      "nothing answers",
      async () => (await askPort(forward.hostPort, "x\n")) === "",
    );
  });

  test("a port of the host that is taken is refused, and opens nothing", async () => {
    await using rig = await makeRig();
    const workspace = value(await rig.provider.create({ id: "one", seed: null, env: ENV }));
    const taken = await listening();
    const opened = await workspace.forwardPort({ guestPort: 80, hostPort: portOf(taken) });
    expect(opened).toMatchObject({ ok: false });
    expect((await workspace.info()).ports).toEqual([]);
    await new Promise((resolve) => taken.close(resolve));
  });
}

async function freePort(): Promise<number> {
  const server = await listening();
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listening(): Promise<Server> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
