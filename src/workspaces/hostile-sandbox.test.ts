import { createServer } from "node:http";
import { readFile, readdir, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { value } from "../../test/support/lasting-rig.ts";
import { describeWithSandboxes } from "../../test/support/needs-sandbox.ts";
import { sandboxRig, type SandboxRig } from "../../test/support/sandbox-rig.ts";
import { seedRepository, type SeedRepository } from "../../test/support/seed-repository.ts";
import { ENV, output, sh, stubborn, isRunning } from "../../test/support/workspace-rig.ts";
import { openCgroups } from "./sandbox/cgroups.ts";
import type { Workspace, WorkspaceRequest } from "./workspace.ts";

async function makeHostile(
  rig: SandboxRig,
  seed: SeedRepository,
  request: Partial<WorkspaceRequest> = {},
): Promise<Workspace> {
  const { gitDir, objectFormat, head: commit } = seed;
  const from = { gitDir, objectFormat, commit, branch: "task" };
  const made = await rig.provider.create({ id: "hostile", seed: from, env: {}, ...request });
  if (!made.ok) throw new Error(made.failure.message);
  return made.value;
}

/** Says `reached` where a script of Node's gets an answer. */
const connect = (target: string): string =>
  `node -e 'const s = require("node:net").connect(${target});
     s.on("connect", () => { console.log("reached"); process.exit(0); });
     s.on("error", (error) => { console.log(error.code); process.exit(0); });'`;

await describeWithSandboxes("hostile work in a sandbox", () => {
  test("sees neither homes, secrets, sockets, other sandboxes nor the host's processes", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await makeHostile(rig, seed);
    await writeFile(join(rig.root, "secret"), "secret");
    const places = [
      "/root",
      "/work",
      "/var",
      "/srv",
      "/mnt",
      "/media",
      "/opt",
      "/boot",
      "/sys",
      "/run/home",
      "/run/docker.sock",
      "/var/run/docker.sock",
      "/etc/shadow",
      "/etc/ssh",
      "/etc/ssl/private",
      rig.root,
      seed.path,
      "/run/tree",
      "/run/systemd",
      "/run/dbus",
      "/dev/vda",
      "/dev/mem",
    ];
    const look = places.map((place) => `test ! -e '${place}' || echo '${place}'`).join("; ");
    expect(await output(workspace, look)).toBe("");
    const pids = await output(workspace, "ls /proc | grep -c '^[0-9]'");
    expect(Number(pids)).toBeLessThan(10);
    expect(
      await output(workspace, `cat /proc/*/cmdline /proc/*/environ | tr '\\0' '\\n'`),
    ).not.toContain(String(process.pid));
    expect(await output(workspace, "ls /home /run")).toBe("/home:\nagent\n\n/run:\nmycelium\nseed");
  });

  test("is nobody, and stays nobody", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await makeHostile(rig, seed);
    expect(
      await output(
        workspace,
        "grep -E '^Cap(Prm|Eff|Inh|Amb)' /proc/self/status | grep -v 0000000000000000 || echo none",
      ),
    ).toBe("none");
    const { ending } = await sh(workspace, "su root -c true </dev/null || sudo -n true");
    expect(ending).not.toEqual({ kind: "exited", code: 0 });
    expect((await sh(workspace, "unshare --user --map-root-user true")).ending).not.toEqual({
      kind: "exited",
      code: 0,
    });
    expect((await sh(workspace, "mount -t tmpfs none /workspace")).ending).not.toEqual({
      kind: "exited",
      code: 0,
    });
    expect((await sh(workspace, "chroot / true")).ending).not.toEqual({ kind: "exited", code: 0 });
    expect((await sh(workspace, "mknod disk b 254 0")).ending).not.toEqual({
      kind: "exited",
      code: 0,
    });
  });

  test("no mount of it gives rights or devices, and few can be written to", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await makeHostile(rig, seed);
    const table = await output(workspace, "cut -d' ' -f5,6 /proc/self/mountinfo");
    const mounts = table.split("\n").map((line) => {
      const [place = "", options = ""] = line.split(" ");
      return { place, options: options.split(",") };
    });
    const without = (option: string): readonly string[] =>
      mounts.flatMap(({ place, options }) => (options.includes(option) ? [] : place)).toSorted();
    const devices = ["full", "null", "random", "tty", "urandom", "zero"].map((it) => `/dev/${it}`);
    expect(mounts.map(({ place }) => place)).toContain("/usr");
    expect(without("nosuid")).toEqual([]);
    expect(without("nodev")).toEqual(["/dev", ...devices, "/dev/pts"].toSorted());
    const own = ["/home/agent", "/run/mycelium", "/tmp", "/workspace"];
    expect(without("ro")).toEqual([...devices, "/dev/pts", "/dev/shm", "/proc", ...own].toSorted());
  });

  test("writes nowhere but into its own layer", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await makeHostile(rig, seed);
    const places = [
      "/x",
      "/usr/x",
      "/usr/bin/sh",
      "/etc/x",
      "/etc/passwd",
      "/run/x",
      "/run/seed/x",
    ];
    const more = ["/run/seed/objects/0/x", "/dev/x", "/home/x", "/proc/sys/kernel/hostname"];
    const tries = [...places, ...more].map(
      (place) => `(echo x > ${place}) 2>/dev/null && echo ${place}`,
    );
    expect(await output(workspace, `${tries.join("; ")}; true`)).toBe("");
    await output(workspace, "rm -rf ./* .git /tmp/* && echo gone > README.md");
    expect(await readFile(join(seed.path, "README.md"), "utf8")).toBe("# Seed\n");
    const next = await makeHostile(rig, seed, { id: "next" });
    expect(await output(next, "cat README.md; git status --porcelain")).toBe("# Seed");
  });

  test("does not make Mycelium read or write outside through its links", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await makeHostile(rig, seed);
    const secret = join(rig.root, "secret");
    await writeFile(secret, "secret");
    await output(workspace, `mkdir real; ln -s ${secret} file; ln -s ${rig.root} folder`);
    const swap = "while :; do ln -sfn real way; ln -sfn ../../.. way; ln -sfn / way; done";
    const swapping = sh(workspace, swap, { timeoutMs: 3_000 });
    for (let round = 0; round < 10; round += 1) {
      await workspace.writeFile(`way${secret}`, "overwritten");
      const read = await workspace.readFile(`way${secret}`, { bytesMax: 100 });
      if (read.ok) expect(read.value.toString()).toBe("overwritten");
    }
    await workspace.writeFile("file", "overwritten");
    await workspace.writeFile("folder/secret", "overwritten");
    await swapping;
    expect(await readFile(secret, "utf8")).toBe("secret");
  });

  test("reaches nothing without a network, not even this machine", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const server = createServer((_request, response) => response.end("hello"));
    await new Promise<void>((resolve) => void server.listen(0, "0.0.0.0", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const target = `{ host: "127.0.0.1", port: ${port} }`;
      const allowed = await makeHostile(rig, seed, { id: "allowed", network: "allow" });
      expect(await output(allowed, connect(target))).toBe("reached");
      const cut = await makeHostile(rig, seed, { id: "cut", network: "none" });
      expect(await output(cut, connect(target))).toBe("ECONNREFUSED");
      expect(await output(cut, connect('{ host: "192.0.2.1", port: 80 }'))).toBe("ENETUNREACH");
      expect(await output(cut, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '")).toBe("lo");
    } finally {
      server.close();
    }
  });

  test("a fork bomb meets its limit, and nobody else notices", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const bombed = await makeHostile(rig, seed, { limits: { pids: 40 } });
    const neighbour = await makeHostile(rig, seed, { id: "neighbour", limits: { pids: 40 } });
    const bomb = sh(bombed, "b() { b | b & b; }; b", { timeoutMs: 2_000 });
    const many = "for i in $(seq 30); do sleep 1 & done; wait; echo well";
    expect(await output(neighbour, many)).toBe("well");
    expect((await bomb).ending.kind).not.toBe("unstartable");
    expect(await rig.provider.endLeftovers("hostile")).toBeLessThanOrEqual(40);
    expect(await output(bombed, "echo alive")).toBe("alive");
  });

  test("a program that takes more memory than there may be gets none", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await makeHostile(rig, seed, { limits: { memoryMb: 256 } });
    const take = (megabytes: number): string =>
      `perl -e 'my $x = "a" x (${megabytes} * 1024 * 1024); print length $x'`;
    expect(await output(workspace, take(64))).toBe(String(64 * 1024 * 1024));
    expect((await sh(workspace, take(1024))).ending).not.toEqual({ kind: "exited", code: 0 });
    expect(await output(workspace, "echo alive")).toBe("alive");
    // What is in the shared memory folder counts to the machine's memory and has a limit as well.
    const { ending } = await sh(workspace, "head -c 300000000 /dev/zero > /dev/shm/big");
    expect(ending).not.toEqual({ kind: "exited", code: 0 });
  });

  test("a limit on the disk, which nothing would hold, is refused by name", async () => {
    await using rig = await sandboxRig();
    const wishes = { env: ENV, limits: { diskMb: 5 } };
    const refused = { code: "workspace-unsupported", message: "a sandbox cannot limit the disk" };
    const made = await rig.provider.create({ id: "limited", seed: null, ...wishes });
    expect(made).toMatchObject({ ok: false, failure: refused });
    const golden = value(await rig.provider.create({ id: "golden", seed: null, env: ENV }));
    value(await golden.snapshot("one"));
    const forks = await rig.provider.fork("golden@one", [
      { id: "limited", ...wishes },
      { id: "other", env: ENV },
    ]);
    expect(forks).toMatchObject([{ ok: false, failure: refused }, { ok: true }]);
    expect((await rig.provider.list()).toSorted()).toEqual(["golden", "other"]);
  });

  test("does not survive the end of its command, whatever it does to hide", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await makeHostile(rig, seed);
    const loop = "trap : TERM HUP; while :; do sleep 0.05; done";
    await workspace.writeFile("hidden.new", `echo $$ > hidden; ${loop}`);
    const hidden = "env -i setsid /bin/sh hidden.new > /dev/null 2>&1 &";
    const command = `${hidden} until test -s hidden; do sleep 0.01; done`;
    expect((await sh(workspace, command)).ending).toEqual({ kind: "exited", code: 0 });
    // Without control groups only the end of the sandbox is sure.
    if (!openCgroups("hostile", null).tracksCommands) await rig.provider.endLeftovers("hostile");
    expect(await isRunning(workspace, "hidden")).toBe(false);
  });

  test("does not end its sandbox, and where it does, the next command has one again", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await makeHostile(rig, seed);
    await sh(workspace, "echo kept > kept; kill -9 1; kill -9 -1");
    expect(await output(workspace, "cat kept")).toBe("kept");
  });

  test("nothing of it is left when it is removed in the middle of its work", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await makeHostile(rig, seed);
    const running = sh(workspace, stubborn("daemon"));
    await eventually("it runs", async () => isRunning(workspace, "daemon"));
    const mounts = await readFile("/proc/self/mountinfo", "utf8");
    expect(mounts).not.toContain(rig.root);
    await rig.provider.remove("hostile");
    expect(["signalled", "exited"]).toContain((await running).ending.kind);
    expect(await readdir(join(rig.root, "workspaces"))).toEqual([]);
  });
});
