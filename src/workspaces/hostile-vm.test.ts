import { statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { value } from "../../test/support/lasting-rig.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import {
  describeWithMachines,
  VM_PREPARE_TIMEOUT_MS,
  vmRig,
  type VmRig,
} from "../../test/support/vm-rig.ts";
import { ENV, isRunning, output, sh } from "../../test/support/workspace-rig.ts";
import type { LastingWorkspace } from "./lasting-workspace.ts";

const LIMITS = { memoryMb: 192, diskMb: 512, pids: 64 };
const TIMEOUT_MS = 120_000;

async function hostile(rig: VmRig, id = "one"): Promise<LastingWorkspace> {
  const request = { id, seed: null, env: ENV, limits: LIMITS, network: "none" } as const;
  return value(await rig.provider.create(request));
}

/** Never ends by itself, ignores what can be ignored, and leaves its session. */
const BOMB = `exec perl -MPOSIX -e '$SIG{$_} = "IGNORE" for qw(TERM HUP INT);
  open my $lit, ">", "lit"; close $lit; while (1) { fork or setsid() }'`;

/** An agent that was told to do harm, as the guest's root. */
await describeWithMachines("hostile work in a machine", () => {
  beforeAll(async () => {
    await using rig = await vmRig();
    await hostile(rig);
  }, VM_PREPARE_TIMEOUT_MS);

  test("sees neither the host's files nor its processes", { timeout: TIMEOUT_MS }, async () => {
    await using rig = await vmRig();
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "key"), "a secret of the host");
    const workspace = await hostile(rig);
    const { ending } = await sh(workspace, `cat ${join(folder.path, "key")}`);
    expect(ending).toEqual({ kind: "exited", code: 1 });
    const found = await sh(
      workspace,
      `ls -A /root /home /mnt | grep -v '^/' | grep .
       ls /var/run/docker.sock; ls -d /proc/${process.pid} ${process.cwd()} ${rig.root};
       find / -xdev -name 'mycelium.db' -o -xdev -name id_rsa -o -xdev -name '*.sock'`,
    );
    expect(found.stdout.text).toBe("");
    expect(await output(workspace, "ls /sys/block | grep -v '^loop'")).toBe("vda");
    const said = await output(
      workspace,
      "cat /proc/*/environ 2> /dev/null | tr '\\0' '\\n' | grep -c KEY || true",
    );
    expect(said).toBe("0");
  });

  test(
    "a fork bomb meets the limit, is ended whole, and the machine is of use again",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await hostile(rig);
      expect((await sh(workspace, BOMB, { timeoutMs: 1500 })).ending).toEqual({
        kind: "timed-out",
      });
      expect(await output(workspace, "pgrep -c perl || true")).toBe("0");
    },
  );

  test(
    "a bomb in the background does not keep others from being ended",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await hostile(rig);
      const running = sh(workspace, BOMB, { timeoutMs: 60_000 });
      const isLit = async () => (await workspace.readFile("lit", { bytesMax: 1 })).ok;
      await eventually("it is lit", isLit);
      expect(await rig.provider.endLeftovers("one")).toBeGreaterThan(0);
      expect((await running).ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
      expect(await output(workspace, "echo works")).toBe("works");
    },
  );

  test(
    "what leaves its session, its group and its environment is ended with its command",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await hostile(rig);
      const escape = `env -i PATH=/usr/bin:/bin setsid sh -c '
      trap "" TERM HUP INT; (echo $$ > away.new; mv away.new away; while :; do sleep 0.05; done) &'
      until test -e away; do sleep 0.01; done`;
      expect((await sh(workspace, escape)).ending).toEqual({ kind: "exited", code: 0 });
      expect(await isRunning(workspace, "away")).toBe(false);
    },
  );

  test(
    "filling memory is the command's end, and takes no more of the host",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await hostile(rig);
      const eat = "exec perl -e '$x .= \"x\" x 1e6 while 1'";
      const { ending } = await sh(workspace, eat, { timeoutMs: 100_000 });
      expect(ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
      expect(await output(workspace, "echo works")).toBe("works");
    },
  );

  test(
    "filling the disk meets its end, on the host too, and files can be removed again",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await hostile(rig);
      const { ending, stderr } = await sh(workspace, "tr '\\0' x < /dev/zero > fill", {
        timeoutMs: 100_000,
      });
      expect(ending).not.toEqual({ kind: "exited", code: 0 });
      expect(stderr.text).toContain("No space left");
      const disk = statSync(join(rig.root, "one/disk.qcow2"));
      expect(disk.blocks * 512).toBeLessThan((LIMITS.diskMb + 32) * 1024 * 1024);
      expect(await workspace.writeFile("more", "x".repeat(100_000))).toMatchObject({
        ok: false,
        failure: { details: { reason: "ENOSPC" } },
      });
      expect(await output(workspace, "rm fill; echo works > more; cat more")).toBe("works");
    },
  );

  test(
    "links, and folders that become links, lead nowhere else",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      await using folder = await temporaryFolder();
      const workspace = await hostile(rig);
      const outside = { ok: false, failure: { details: { reason: "outside" } } };
      await output(workspace, "ln -s /etc dir; ln -s /etc/passwd file; ln -s ../../etc/x new");
      expect(await workspace.readFile("dir/passwd", { bytesMax: 10_000 })).toMatchObject(outside);
      expect(await workspace.readFile("file", { bytesMax: 10_000 })).toMatchObject(outside);
      expect(await workspace.writeFile("dir/x", "")).toMatchObject(outside);
      expect(await workspace.writeFile("new", "")).toMatchObject(outside);
      expect(await workspace.listFiles("dir")).toMatchObject(outside);
      expect(await workspace.download("file", join(folder.path, "x"))).toMatchObject(outside);
      expect((await sh(workspace, "true", { cwd: "dir" })).ending).toMatchObject({
        kind: "unstartable",
      });
      expect(await output(workspace, "test -e /etc/x || echo none")).toBe("none");
    },
  );

  test(
    "without a network it reaches neither this machine nor another",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await hostile(rig);
      await using listener = await listen();
      const addresses = Object.values(networkInterfaces()).flatMap((all) =>
        (all ?? []).filter(({ family }) => family === "IPv4").map(({ address }) => address),
      );
      const client = `use Socket; socket(S, PF_INET, SOCK_STREAM, 0) or die; alarm 5;
      exit(connect(S, pack_sockaddr_in($ARGV[1], inet_aton($ARGV[0]))) ? 0 : 1)`;
      for (const address of [...addresses, "10.0.2.2", "192.0.2.1"]) {
        const command = ["perl", "-e", client, address, String(listener.port)] as const;
        const { ending } = await workspace.exec({ command, timeoutMs: 20_000 });
        expect(ending).toEqual({ kind: "exited", code: 1 });
      }
      expect(listener.connections()).toBe(0);
      expect(await output(workspace, "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '")).toBe(
        "lo",
      );
    },
  );

  test(
    "another workspace's processes and files are not there",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const one = await hostile(rig, "one");
      await one.writeFile("secret", "x");
      const running = sh(one, "exec sleep 100", { timeoutMs: 100_000 });
      const two = await hostile(rig, "two");
      expect((await sh(two, "cat secret")).ending).toMatchObject({ code: 1 });
      await sh(two, "kill -KILL -1");
      expect(await output(two, "pgrep -x sleep || echo none")).toBe("none");
      expect(await output(one, "pgrep -xc sleep")).toBe("1");
      await one.destroy();
      expect((await running).ending).toEqual({ kind: "aborted" });
    },
  );

  test("by its own kill of everything it ends only itself", { timeout: TIMEOUT_MS }, async () => {
    await using rig = await vmRig();
    const workspace = await hostile(rig);
    const { ending } = await sh(workspace, "kill -KILL 1; kill -KILL -1; kill -KILL $$");
    expect(ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
    expect(await output(workspace, "echo works")).toBe("works");
  });

  test(
    "a machine that ends itself says so, and is started again from its disk",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await hostile(rig);
      await output(workspace, "echo kept > file; sync");
      const { ending, stderr } = await sh(workspace, "echo c > /proc/sysrq-trigger; sleep 60");
      expect(ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
      expect(stderr.text).toContain("the machine ended");
      expect(await output(workspace, "cat file")).toBe("kept");
    },
  );
});

interface Listener extends AsyncDisposable {
  readonly port: number;
  connections(): number;
}

/** On all of this machine's addresses. */
async function listen(): Promise<Listener> {
  let count = 0;
  const server = createServer((socket) => {
    count += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const address = server.address();
  const port = address === null || typeof address === "string" ? 0 : address.port;
  return {
    port,
    connections: () => count,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
