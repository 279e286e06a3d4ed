import { createHash } from "node:crypto";
import { createServer, connect } from "node:net";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeEmpty, valueOf, type MakeLastingRig } from "../../test/support/docker-lasting-rig.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { output } from "../../test/support/workspace-rig.ts";

/** Files of any size, edits, and ports. */
export function describeFilesAndPorts(makeRig: MakeLastingRig): void {
  test("a large file goes in and comes out, whole, with its hash", async () => {
    await using rig = await makeRig();
    await using folder = await temporaryFolder();
    const workspace = await makeEmpty(rig);
    const content = Buffer.alloc(30_000_001, "a line that repeats itself\n");
    const sha256 = createHash("sha256").update(content).digest("hex");
    const [from, to] = [join(folder.path, "from"), join(folder.path, "to")];
    await writeFile(from, content);
    const transfer = { bytes: content.length, sha256 };
    expect(valueOf(await workspace.upload(from, "in/large"))).toEqual(transfer);
    expect(valueOf(await workspace.download("in/large", to))).toEqual(transfer);
    expect((await readFile(to)).equals(content)).toBe(true);
    expect(await output(workspace, "stat -c %U in/large")).toBe(await output(workspace, "id -un"));
  });

  test("neither leaves the workspace", async () => {
    await using rig = await makeRig();
    await using folder = await temporaryFolder();
    const workspace = await makeEmpty(rig);
    const host = join(folder.path, "file");
    await writeFile(host, "x");
    for (const path of ["/etc/passwd", "../../../etc/passwd"]) {
      const outside = { ok: false, failure: { details: { reason: "outside" } } };
      expect(await workspace.upload(host, path)).toMatchObject(outside);
      expect(await workspace.download(path, host)).toMatchObject(outside);
      expect(await workspace.listFiles(path)).toMatchObject(outside);
    }
  });

  test("an edit replaces the only place, and refuses none or several", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    await workspace.writeFile("a.txt", "one two two");
    valueOf(await workspace.editFile("a.txt", { from: "one", to: "$& 1" }));
    expect(await output(workspace, "cat a.txt")).toBe("$& 1 two two");
    const times = (count: number) => ({ ok: false, failure: { details: { times: count } } });
    expect(await workspace.editFile("a.txt", { from: "two", to: "x" })).toMatchObject(times(2));
    expect(await workspace.editFile("a.txt", { from: "none", to: "x" })).toMatchObject(times(0));
    expect(await workspace.editFile("a.txt", { from: "", to: "x" })).toMatchObject(times(0));
    expect(await output(workspace, "cat a.txt")).toBe("$& 1 two two");
  });

  test("a folder is listed, one level, with kinds, sizes and modes", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    await output(workspace, "mkdir -p d/e; echo hi > d/f; chmod 640 d/f; ln -s f d/l; mkfifo d/p");
    const entries = valueOf(await workspace.listFiles("d"));
    expect(entries.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      "e folder",
      "f file",
      "l link",
      "p other",
    ]);
    expect(entries[1]).toMatchObject({ bytes: 3, mode: 0o640, modifiedMs: expect.any(Number) });
    expect(await workspace.listFiles("d/none")).toMatchObject({ ok: false });
  });

  test("a port is forwarded to loopback, without a network too, and closed", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig, "one", { network: "none" });
    const server = `use Socket; socket(S, PF_INET, SOCK_STREAM, 0);
      bind(S, pack_sockaddr_in(8080, INADDR_LOOPBACK)) or die; listen(S, 5); $| = 1; print "ready\\n";
      while (accept(C, S)) { my $l = <C>; syswrite(C, "heard $l"); close C }`;
    const request = { command: ["perl", "-e", server] as const, timeoutMs: 60_000 };
    const { job } = valueOf(await workspace.startJob(request));
    await expect
      .poll(async () => {
        const part = { job, stdoutFrom: 0, stderrFrom: 0, bytesMax: 10 };
        return valueOf(await workspace.readJob(part)).stdout.toString();
      })
      .toBe("ready\n");
    const forward = valueOf(await workspace.forwardPort({ guestPort: 8080 }));
    expect(forward.hostPort).toBeGreaterThan(0);
    expect((await workspace.info()).ports).toEqual([forward]);
    expect(await ask(forward.hostPort, "one\n")).toBe("heard one\n");
    expect(await ask(forward.hostPort, "two\n")).toBe("heard two\n");
    valueOf(await workspace.closePort(8080));
    await expect(ask(forward.hostPort, "three\n")).rejects.toThrow(/ECONNREFUSED/);
  });

  test("a port that is taken is a failure", async () => {
    await using rig = await makeRig();
    const workspace = await makeEmpty(rig);
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const address = taken.address();
    const hostPort = address === null || typeof address === "string" ? 0 : address.port;
    expect(await workspace.forwardPort({ guestPort: 80, hostPort })).toMatchObject({ ok: false });
    expect((await workspace.info()).ports).toEqual([]);
    await new Promise((resolve) => taken.close(resolve));
  });
}

function ask(port: number, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = "";
    const socket = connect(port, "127.0.0.1", () => socket.end(question));
    socket.on("data", (chunk) => (heard += chunk.toString()));
    socket.on("error", reject);
    socket.on("close", () => resolve(heard));
  });
}
