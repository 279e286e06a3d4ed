import { beforeAll, expect, test } from "vitest";
import { askPort } from "../../test/support/ask-port.ts";
import { eventually } from "../../test/support/eventually.ts";
import { makeUntilKilled } from "../../test/support/lasting-maker.ts";
import { makeLasting, seedOf, value } from "../../test/support/lasting-rig.ts";
import { seedRepository } from "../../test/support/seed-repository.ts";
import {
  describeWithMachines,
  VM_CACHE_DIR,
  VM_PREPARE_TIMEOUT_MS,
  vmRig,
} from "../../test/support/vm-rig.ts";
import { ENV } from "../../test/support/workspace-rig.ts";
import type { LastingWorkspace } from "./lasting-workspace.ts";
import { isListening } from "./loopback-port.ts";

const TIMEOUT_MS = 120_000;
const GUEST_PORT = 8080;

const SHOUT = `socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);
  bind(S, sockaddr_in(${GUEST_PORT}, INADDR_LOOPBACK)) or die; listen(S, 9);
  while (accept(C, S)) { local $/; my $heard = <C>; print C uc $heard; close C }`;

async function serve(workspace: LastingWorkspace): Promise<void> {
  const command = ["perl", "-MSocket", "-e", SHOUT] as const;
  value(await workspace.startJob({ command, timeoutMs: TIMEOUT_MS }));
}

const answers = (port: number) =>
  eventually("it answers", async () => (await askPort(port, "hello")) === "HELLO");

await describeWithMachines("ports of machines", () => {
  beforeAll(async () => {
    await using rig = await vmRig();
    await makeLasting(rig, null);
  }, VM_PREPARE_TIMEOUT_MS);

  test(
    "outlive who opened them, and are found and closed by another",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      const workspace = await makeLasting(rig, null);
      await serve(workspace);
      const making = { root: rig.root, seed: seedOf(seed), vmCacheDir: VM_CACHE_DIR };
      const opening = { ...making, act: "forward", crashAt: "port.opened" } as const;
      expect(await makeUntilKilled(opening)).toBe("SIGKILL");
      const [port] = (await workspace.info()).ports;
      expect(port).toEqual({ guestPort: GUEST_PORT, hostPort: expect.any(Number) });
      const hostPort = port?.hostPort ?? 0;
      await answers(hostPort);
      const other = await rig.reopen().find({ id: "one", env: ENV });
      expect(await other?.forwardPort({ guestPort: GUEST_PORT })).toEqual({
        ok: true,
        value: port,
      });
      expect(await other?.closePort(GUEST_PORT)).toMatchObject({ ok: true });
      expect(await isListening(hostPort)).toBe(false);
      expect(await workspace.info()).toMatchObject({ ports: [] });
    },
  );

  test(
    "stay over a snapshot and a restore, and end with the machine and with the workspace",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await makeLasting(rig, null);
      await serve(workspace);
      const open = async () => value(await workspace.forwardPort({ guestPort: GUEST_PORT }));
      const first = await open();
      await answers(first.hostPort);
      value(await workspace.snapshot("serving"));
      await answers(first.hostPort);
      value(await workspace.restore("serving"));
      // The server is in the snapshot, and whoever keeps the port talks to the machine that is there.
      await answers(first.hostPort);
      expect(await workspace.info()).toMatchObject({ ports: [first] });
      value(await workspace.stop());
      expect(await isListening(first.hostPort)).toBe(false);
      expect(await workspace.info()).toMatchObject({ ports: [] });
      expect(await workspace.forwardPort({ guestPort: GUEST_PORT })).toMatchObject({
        ok: false,
        failure: { code: "workspace-stopped" },
      });
      value(await workspace.start());
      const second = await open();
      expect(await isListening(second.hostPort)).toBe(true);
      await workspace.destroy();
      expect(await isListening(second.hostPort)).toBe(false);
    },
  );

  test(
    "more of them than a machine talks to programs are open at once",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await makeLasting(rig, null);
      await serve(workspace);
      const guestPorts = Array.from({ length: 10 }, (_, at) => GUEST_PORT + at);
      for (const guestPort of guestPorts) value(await workspace.forwardPort({ guestPort }));
      const { ports } = await workspace.info();
      expect(ports.map(({ guestPort }) => guestPort)).toEqual(guestPorts);
      await answers(ports[0]?.hostPort ?? 0);
      // Nobody listens at the other one in the machine: the caller is let go.
      expect(await askPort(ports[9]?.hostPort ?? 0, "hello")).toBe("");
      await answers(ports[0]?.hostPort ?? 0);
    },
  );
});
