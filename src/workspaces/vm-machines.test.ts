import { readdirSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { makeLasting, value } from "../../test/support/lasting-rig.ts";
import {
  describeWithMachines,
  VM_PREPARE_TIMEOUT_MS,
  vmRig,
  type VmRig,
} from "../../test/support/vm-rig.ts";
import { ENV, output, sh } from "../../test/support/workspace-rig.ts";
import type { LastingWorkspace } from "./lasting-workspace.ts";

const TIMEOUT_MS = 120_000;
const FORKS = 16;

const ECHO = `socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);
  bind(S, sockaddr_in(8080, INADDR_LOOPBACK)) or die; listen(S, 9);
  while (accept(C, S)) { while (sysread(C, $piece, 65536)) { syswrite(C, $piece) } close(C) }`;

function machineOf(rig: VmRig, id: string): number {
  const text = readFileSync(join(rig.root, id, "machine.json"), "utf8");
  return (JSON.parse(text) as { pid: number }).pid;
}

/** Sends all, ends, and answers all that came back. */
function roundTrip(port: number, content: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.end(content));
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", reject);
    socket.on("close", () => resolve(Buffer.concat(chunks)));
  });
}

await describeWithMachines("what machines alone have", () => {
  beforeAll(async () => {
    await using rig = await vmRig();
    await makeLasting(rig, null);
  }, VM_PREPARE_TIMEOUT_MS);

  test(
    "a forwarded port carries what is said, both ways, and ends when it is closed",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = value(
        await rig.provider.create({ id: "one", seed: null, env: ENV, network: "none" }),
      );
      const command = ["perl", "-MSocket", "-e", ECHO] as const;
      value(await workspace.startJob({ command, timeoutMs: TIMEOUT_MS }));
      const { hostPort } = value(await workspace.forwardPort({ guestPort: 8080 }));
      const hello = Buffer.from("hello");
      const isHeard = async () => {
        const answer = await roundTrip(hostPort, hello).catch(() => null);
        return answer?.equals(hello) === true;
      };
      await eventually("it listens", isHeard);
      const large = Buffer.alloc(1_000_003, "a line that repeats itself~}\n");
      const answers = await Promise.all([large, hello].map((said) => roundTrip(hostPort, said)));
      expect(answers[0]?.equals(large)).toBe(true);
      expect(answers[1]?.toString()).toBe("hello");
      value(await workspace.closePort(8080));
      await expect(roundTrip(hostPort, hello)).rejects.toThrow("ECONNREFUSED");
    },
  );

  test(
    "a machine that is killed from outside ends its command, and is told to be broken",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await makeLasting(rig, null);
      await output(workspace, "echo kept > file; sync");
      const running = sh(workspace, "touch begun; sleep 60");
      await eventually(
        "it runs",
        async () => (await workspace.readFile("begun", { bytesMax: 9 })).ok,
      );
      process.kill(machineOf(rig, "one"), "SIGKILL");
      const { ending, stderr } = await running;
      expect(ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
      expect(stderr.text).toContain("the machine ended while this command ran");
      const isBroken = async () => (await workspace.info()).state === "broken";
      await eventually("its process is gone", isBroken);
      expect(await output(workspace, "cat file")).toBe("kept");
      expect(await workspace.info()).toMatchObject({ state: "running" });
    },
  );

  test(
    "forks at once share their memory, and have nothing that must be their own in common",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await makeLasting(rig, null);
      value(await workspace.snapshot("golden"));
      const requests = Array.from({ length: FORKS }, (_, at) => ({ id: `fork-${at}`, env: ENV }));
      const forks = (await rig.provider.fork("one@golden", requests)).map(value);
      const ask = "cat /etc/machine-id; uname -n; head -c 16 /dev/urandom | sha256sum; date +%s";
      const said = await Promise.all(
        forks.map(async (fork) => (await output(fork, ask)).split("\n")),
      );
      for (const at of [0, 1, 2]) expect(new Set(said.map((lines) => lines[at])).size).toBe(FORKS);
      const now = Date.now() / 1000;
      for (const lines of said) expect(Math.abs(Number(lines[3]) - now)).toBeLessThan(60);
      const usage = requests.map(({ id }) => memoryOf(machineOf(rig, id)));
      for (const { pssKb, rssKb } of usage) expect(pssKb).toBeLessThan(rssKb);
      await Promise.all(forks.map((fork) => fork.destroy()));
      expect(await rig.provider.list()).toEqual(["one"]);
    },
  );

  test(
    "a fork stays the machine that it is of: other wishes are refused",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await makeLasting(rig, null);
      value(await workspace.snapshot("golden"));
      const forks = await rig.provider.fork("one@golden", [
        { id: "two", env: ENV, limits: { diskMb: 8192 } },
        { id: "three", env: ENV, limits: { memoryMb: 512 } },
        { id: "four", env: ENV, limits: { pids: 99 } },
      ]);
      const refused = { ok: false, failure: { code: "workspace-unsupported" } };
      expect(forks).toMatchObject([refused, refused, { ok: true }]);
      expect((await rig.provider.list()).toSorted()).toEqual(["four", "one"]);
    },
  );

  test(
    "a fork that is cut off reaches nothing that its source reached, started again as well",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await makeLasting(rig, null);
      const listener = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
      await new Promise((resolve) => listener.once("listening", resolve));
      const address = listener.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      // This machine's loopback, as QEMU's user networking offers it.
      const client = `use Socket; socket(S, PF_INET, SOCK_STREAM, 0) or die; alarm 5;
        exit(connect(S, pack_sockaddr_in(${port}, inet_aton("10.0.2.2"))) ? 0 : 1)`;
      const reach = async (from: LastingWorkspace | undefined) =>
        (await from?.exec({ command: ["perl", "-e", client], timeoutMs: 20_000 }))?.ending;
      expect(await reach(workspace)).toEqual({ kind: "exited", code: 0 });
      value(await workspace.snapshot("golden"));
      const request = { id: "two", env: ENV, network: "none" } as const;
      const [fork] = (await rig.provider.fork("one@golden", [request])).map(value);
      expect(await reach(fork)).not.toEqual({ kind: "exited", code: 0 });
      value((await fork?.stop()) ?? { ok: false, failure: {} });
      value((await fork?.start()) ?? { ok: false, failure: {} });
      expect(await reach(fork)).not.toEqual({ kind: "exited", code: 0 });
      expect(await reach(workspace)).toEqual({ kind: "exited", code: 0 });
      await new Promise((resolve) => listener.close(resolve));
    },
  );

  test(
    "a stopped machine's snapshot is of its disk, and its forks start from it",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await makeLasting(rig, null);
      await output(workspace, "echo kept > file");
      value(await workspace.stop());
      expect(value(await workspace.snapshot("cold"))).toMatchObject({ live: false });
      const [fork] = await rig.provider.fork("one@cold", [{ id: "two", env: ENV }]);
      expect(await output(value(fork ?? { ok: false, failure: {} }), "cat file; uname -n")).toBe(
        "kept\ntwo",
      );
      value(await workspace.restore("cold"));
      expect(await workspace.info()).toMatchObject({ state: "stopped" });
    },
  );

  test(
    "a snapshot of one that writes all the time has all that was written before, and no part",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      const workspace = await makeLasting(rig, null);
      const count = `i=0; while :; do i=$((i + 1)); echo $i >> log
        [ $((i % 100)) -ne 0 ] || sync log; done`;
      value(await workspace.startJob({ command: count, timeoutMs: TIMEOUT_MS }));
      const length = async (of: LastingWorkspace) =>
        Number(await output(of, "cat log 2> /dev/null | wc -l"));
      await eventually("it writes", async () => (await length(workspace)) > 300);
      const before = await length(workspace);
      value(await workspace.snapshot("busy"));
      const [fork] = (await rig.provider.fork("one@busy", [{ id: "two", env: ENV }])).map(value);
      if (fork === undefined) throw new Error("there is no fork");
      const forked = await length(fork);
      expect(forked).toBeGreaterThanOrEqual(before);
      // Its counter is in memory and its lines are on the disk: no line is missing, in both.
      await eventually("the fork goes on", async () => (await length(fork)) > forked + 100);
      await eventually("so does its source", async () => (await length(workspace)) > before + 100);
      const whole = "head -n -1 log | awk '$1 != NR { exit 1 }' && echo whole";
      for (const one of [workspace, fork]) {
        expect(await output(one, whole)).toBe("whole");
        value(await one.stop());
        value(await one.start());
        expect(await output(one, whole)).toBe("whole");
      }
    },
  );

  test("layers of disks go when nothing stands on them", { timeout: TIMEOUT_MS }, async () => {
    await using rig = await vmRig();
    const workspace = await makeLasting(rig, null);
    value(await workspace.snapshot("a"));
    value(await workspace.snapshot("b"));
    const layers = () => readdirSync(join(rig.root, "../snapshots/layers"));
    expect(layers()).toHaveLength(2);
    await workspace.destroy();
    expect(layers()).toHaveLength(2);
    value(await rig.provider.deleteSnapshot("one@b"));
    expect(layers()).toHaveLength(1);
    value(await rig.provider.deleteSnapshot("one@a"));
    expect(layers()).toEqual([]);
  });
});

function memoryOf(pid: number): { readonly pssKb: number; readonly rssKb: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const numberOf = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
  return { pssKb: numberOf("Pss"), rssKb: numberOf("Rss") };
}
