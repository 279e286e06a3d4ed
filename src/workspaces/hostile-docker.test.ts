import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dockerRig, isSkipped, whySkipped } from "../../test/support/docker-rig.ts";
import { value, type LastingRig } from "../../test/support/lasting-rig.ts";
import { eventually } from "../../test/support/eventually.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { ENV, isRunning, output, sh } from "../../test/support/workspace-rig.ts";
import type { LastingWorkspace } from "./lasting-workspace.ts";

const LIMITS = { memoryMb: 96, pids: 64 };

async function hostile({ provider }: LastingRig, id = "one"): Promise<LastingWorkspace> {
  const wishes = { limits: LIMITS, network: "none" } as const;
  return value(await provider.create({ id, seed: null, env: ENV, ...wishes }));
}

/** Never ends by itself, ignores what can be ignored, and leaves its session. */
const BOMB = `exec perl -MPOSIX -e '$SIG{$_} = "IGNORE" for qw(TERM HUP INT);
  open my $lit, ">", "lit"; close $lit; while (1) { fork or setsid() }'`;

/** An agent that was told to do harm, as the user that agents are. */
describe.skipIf(isSkipped)(`hostile work in a container${whySkipped}`, () => {
  test("sees neither the host's files nor its processes", async () => {
    await using rig = await dockerRig();
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "key"), "a secret of the host");
    const workspace = await hostile(rig);
    const { ending } = await sh(workspace, `cat ${join(folder.path, "key")}`);
    expect(ending).toEqual({ kind: "exited", code: 1 });
    const found = await sh(
      workspace,
      `ls -A /root /home | grep -v '^/' | grep .
       ls /var/run/docker.sock /run/docker.sock; ls -d /proc/${process.pid};
       find / -xdev -name 'mycelium.db' -o -xdev -name id_rsa -o -xdev -name docker.sock`,
    );
    expect(found.stdout.text).toBe("");
    expect(await output(workspace, "cat /proc/1/environ 2>&1 || true")).toMatch(/denied/);
  });

  test("has no capability and gets none, by whatever program", async () => {
    await using rig = await dockerRig();
    const workspace = await hostile(rig);
    const status = await output(
      workspace,
      "grep -E 'Cap(Inh|Prm|Eff|Amb)|NoNewPrivs' /proc/self/status",
    );
    expect(status.replaceAll(/\s+/g, " ")).toBe(
      "CapInh: 0000000000000000 CapPrm: 0000000000000000 CapEff: 0000000000000000 " +
        "CapAmb: 0000000000000000 NoNewPrivs: 1",
    );
    for (const attempt of [
      "mount -t tmpfs none /mnt",
      "mount --bind / /mnt",
      "unshare -r true",
      "unshare -m true",
      "nsenter -t 1 -m true",
      "mknod /tmp/disk b 8 0",
      "chroot / true",
      "su -c id",
      "echo x > /proc/sys/kernel/hostname",
      "echo 1 > /sys/fs/cgroup/memory/memory.limit_in_bytes",
      "hostname other",
      "date -s 2000-01-01",
      "ln -f /etc/shadow /tmp/shadow && cat /tmp/shadow",
      "echo x >> /etc/passwd",
      "echo x >> /usr/local/lib/mycelium/agent-*.pl",
    ]) {
      const { ending } = await sh(workspace, attempt);
      expect({ attempt, failed: ending.kind !== "exited" || ending.code !== 0 }).toEqual({
        attempt,
        failed: true,
      });
    }
  });

  test("cannot end, stop or look into the agent that runs it", async () => {
    await using rig = await dockerRig();
    const workspace = await hostile(rig);
    const { ending, stdout } = await sh(
      workspace,
      `for signal in KILL STOP TERM HUP; do kill -$signal 1 $PPID 2> /dev/null && echo "$signal worked"; done
       cat /proc/$PPID/environ /proc/$PPID/mem 2> /dev/null | wc -c; ls /proc/$PPID/fd 2> /dev/null`,
    );
    expect(ending).toMatchObject({ kind: "exited" });
    expect(stdout.text.trim()).toBe("0");
  });

  test("a fork bomb meets the limit, is ended whole, and the workspace is of use again", async () => {
    await using rig = await dockerRig();
    const workspace = await hostile(rig);
    const { ending } = await sh(workspace, BOMB, { timeoutMs: 1500 });
    expect(ending).toEqual({ kind: "timed-out" });
    expect(Number(await output(workspace, "ps -e -o user= | grep -c worker"))).toBeLessThan(6);
  });

  test("a bomb in the background does not keep others from being ended", async () => {
    await using rig = await dockerRig();
    const workspace = await hostile(rig);
    const running = sh(workspace, BOMB, { timeoutMs: 60_000 });
    await eventually(
      "it is lit",
      async () => (await workspace.readFile("lit", { bytesMax: 1 })).ok,
    );
    expect(await rig.provider.endLeftovers("one")).toBeGreaterThan(0);
    expect((await running).ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
    const found = await rig.reopen().find({ id: "one", env: ENV });
    expect(await output(found ?? workspace, "echo works")).toBe("works");
    expect(found).not.toBeNull();
  });

  test("what leaves its session, its group and its environment is ended with its command", async () => {
    await using rig = await dockerRig();
    const workspace = await hostile(rig);
    const escape = `env -i PATH=/usr/bin:/bin setsid sh -c '
      trap "" TERM HUP INT; (echo $$ > away.new; mv away.new away; while :; do sleep 0.05; done) &'
      until test -e away; do sleep 0.01; done`;
    expect((await sh(workspace, escape)).ending).toEqual({ kind: "exited", code: 0 });
    expect(await isRunning(workspace, "away")).toBe(false);
  });

  test("memory beyond the limit is the command's end, not the workspace's", async () => {
    await using rig = await dockerRig();
    const workspace = await hostile(rig);
    const { ending } = await sh(workspace, "exec perl -e '$x .= \"x\" x 1e6 while 1'", {
      timeoutMs: 50_000,
    });
    expect(ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
    expect((await sh(workspace, "head -c 200000000 /dev/zero > /dev/shm/fill")).ending).not.toEqual(
      {
        kind: "exited",
        code: 0,
      },
    );
    await sh(workspace, "rm -f /dev/shm/fill");
    expect(await output(workspace, "echo works")).toBe("works");
  });

  test("without a network it reaches neither this machine nor another", async () => {
    await using rig = await dockerRig();
    const workspace = await hostile(rig);
    await using listener = await listen();
    const addresses = Object.values(networkInterfaces()).flatMap((all) =>
      (all ?? []).filter(({ family }) => family === "IPv4").map(({ address }) => address),
    );
    expect(addresses).not.toEqual([]);
    const client = `use Socket; socket(S, PF_INET, SOCK_STREAM, 0) or die; alarm 5;
      exit(connect(S, pack_sockaddr_in($ARGV[1], inet_aton($ARGV[0]))) ? 0 : 1)`;
    for (const address of [...addresses, "192.0.2.1"]) {
      const command = ["perl", "-e", client, address, String(listener.port)] as const;
      const { ending } = await workspace.exec({ command, timeoutMs: 20_000 });
      expect(ending).toEqual({ kind: "exited", code: 1 });
    }
    expect(listener.connections()).toBe(0);
    expect(await output(workspace, "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '")).toBe(
      "lo",
    );
  });

  test("another workspace's processes and files are not there", async () => {
    await using rig = await dockerRig();
    const [one, two] = [await hostile(rig, "one"), await hostile(rig, "two")];
    await one.writeFile("secret", "x");
    const running = sh(one, "exec -a victim sleep 30 || exec sleep 30");
    expect((await sh(two, `cat ${one.repositoryDir}/secret`)).ending).toMatchObject({ code: 1 });
    expect(await output(two, "ps -e -o user= | grep -c worker")).toBe("3");
    await sh(two, "kill -KILL -1");
    expect((await sh(one, "true")).ending).toEqual({ kind: "exited", code: 0 });
    await one.destroy();
    await running;
  });

  test("by its own kill of everything it ends only itself", async () => {
    await using rig = await dockerRig();
    const workspace = await hostile(rig);
    const { ending } = await sh(workspace, "kill -KILL -1; kill -KILL $$");
    expect(ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
    expect(await output(workspace, "echo works")).toBe("works");
  });
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
