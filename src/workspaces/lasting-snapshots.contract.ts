import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { makeLasting, value, type LastingMeans } from "../../test/support/lasting-rig.ts";
import { ENV, isRunning, output, sh, stubborn } from "../../test/support/workspace-rig.ts";

const FORKS = 6;

const forkRequest = (id: string) => ({ id, env: ENV });
const forkRequests = Array.from({ length: FORKS }, (_, index) => forkRequest(`fork-${index}`));
const IN_USE = { ok: false, failure: { details: { reason: "in-use" } } };
const MISSING = { ok: false, failure: { code: "workspace-missing" } };

/** A tree of frozen states. */
export function describeSnapshots({ makeRig, seed, can }: LastingMeans): void {
  test("snapshots are a tree: each is the child of what its workspace stood on", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const first = value(await workspace.snapshot("first"));
    expect(first).toMatchObject({
      references: 1,
      id: "one@first",
      name: "first",
      workspace: "one",
      parent: null,
      live: can.liveForks,
    });
    await workspace.snapshot("second");
    await workspace.restore("one@first");
    await workspace.snapshot("third");
    const [fork] = await rig.provider.fork("one@second", [forkRequest("two")]);
    expect(fork).toMatchObject({ ok: true });
    if (fork?.ok === true) value(await fork.value.snapshot("fourth"));
    const all = await rig.reopen().listSnapshots();
    expect(all.map(({ id, parent, references }) => [id, parent, references])).toEqual([
      ["one@first", null, 2],
      ["one@second", "one@first", 1],
      ["one@third", "one@first", 1],
      ["two@fourth", "one@second", 1],
    ]);
  });

  test("restoring brings back files, links, modes, commits and variables", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    await workspace.setEnv({ COLOUR: "blue" });
    await output(workspace, "echo 1 > new; git add new; git commit -q -m new; echo 2 > loose");
    const head = await output(workspace, "git rev-parse HEAD");
    value(await workspace.snapshot("good"));
    await workspace.setEnv({ COLOUR: "red" });
    await output(workspace, "rm -rf new loose src link.js .git/refs/heads; touch later");
    expect(await workspace.restore("one@good")).toEqual({ ok: true, value: undefined });
    expect(await output(workspace, "git rev-parse HEAD; git status --porcelain")).toBe(
      `${head}\n?? loose`,
    );
    expect(await output(workspace, "./run.sh; readlink link.js; echo $COLOUR")).toBe(
      "src/main.js\nblue",
    );
    expect(await workspace.collect(seed().head)).toMatchObject({ ok: true, value: { head } });
  });

  test("restoring ends what runs", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    value(await workspace.snapshot("quiet"));
    const running = sh(workspace, stubborn("daemon"));
    await eventually("it runs", async () => isRunning(workspace, "daemon"));
    expect(await workspace.restore("one@quiet")).toMatchObject({ ok: true });
    expect((await running).ending.kind).not.toBe("timed-out");
    expect(await workspace.info()).toMatchObject({ state: "running" });
  });

  test("work goes on undisturbed while it is snapshotted", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    const command = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.05; done";
    const started = await workspace.startJob({ command, timeoutMs: 60_000 });
    const { job } = value(started);
    const read = async () =>
      value(await workspace.readJob({ job, stdoutFrom: 0, stderrFrom: 0, bytesMax: 1000 }));
    await eventually("it begins", async () => (await read()).stdoutBytes > 0);
    value(await workspace.snapshot("busy"));
    await eventually("it ends", async () => (await read()).ending !== null);
    expect(await read()).toMatchObject({ ending: { kind: "exited", code: 0 }, stdoutBytes: 16 });
  });

  test("a snapshot is deleted when nothing stands on it, and not before", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    value(await workspace.snapshot("base"));
    const [fork] = await rig.provider.fork("one@base", [forkRequest("two")]);
    expect(await rig.provider.deleteSnapshot("one@base")).toMatchObject(IN_USE);
    await workspace.destroy();
    expect(await rig.provider.listSnapshots()).toMatchObject([{ id: "one@base", references: 1 }]);
    expect(await rig.reopen().deleteSnapshot("one@base")).toMatchObject(IN_USE);
    if (fork?.ok === true) await fork.value.destroy();
    expect(await rig.provider.deleteSnapshot("one@base")).toEqual({ ok: true, value: undefined });
    expect(await rig.provider.listSnapshots()).toEqual([]);
    expect(await rig.provider.deleteSnapshot("one@base")).toMatchObject(MISSING);
  });

  test("a name that is taken or is none is refused", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    value(await workspace.snapshot("good"));
    expect(await workspace.snapshot("good")).toMatchObject({
      ok: false,
      failure: { code: "workspace-exists" },
    });
    for (const name of ["", "../traversal", "a/b", "A", "-a", "a@b", "a".repeat(64)]) {
      expect(await workspace.snapshot(name)).toMatchObject({ ok: false });
    }
    expect(await rig.provider.listSnapshots()).toHaveLength(1);
  });

  test("only a snapshot of its own is restored", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    const other = await makeLasting(rig, null, "two");
    value(await other.snapshot("theirs"));
    await output(workspace, "touch mine");
    expect(await workspace.restore("two@theirs")).toMatchObject({ ok: false });
    expect(await workspace.restore("one@missing")).toMatchObject(MISSING);
    expect(await workspace.restore("one@../two@theirs")).toMatchObject({ ok: false });
    expect(await output(workspace, "ls")).toBe("mine");
  });
}

/** Many from one, each for itself. */
export function describeForks({ makeRig, seed, can }: LastingMeans): void {
  test("forks begin with the snapshot's files and variables, and go their own ways", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    await workspace.setEnv({ COLOUR: "blue" });
    await output(workspace, `echo golden > state; echo c > ${workspace.contextDir}/c`);
    value(await workspace.snapshot("golden"));
    await output(workspace, "echo later > state");
    const forks = (await rig.provider.fork("one@golden", forkRequests)).map(value);
    expect(forks.map(({ id }) => id)).toEqual(forkRequests.map(({ id }) => id));
    await Promise.all(
      forks.map(({ id }, at) => output(forks[at] ?? workspace, `echo ${id} >> state`)),
    );
    const said = await Promise.all(
      forks.map((fork) =>
        output(fork, `cat state ${fork.contextDir}/c; echo $COLOUR; git status -s`),
      ),
    );
    expect(said).toEqual(forks.map(({ id }) => `golden\n${id}\nc\nblue\n?? state`));
    expect(await output(workspace, "cat state")).toBe("later");
  });

  test("each fork has an identity of its own, and says where it is from", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    value(await workspace.snapshot("golden"));
    const forks = (await rig.provider.fork("one@golden", forkRequests)).map(value);
    const ask = "echo $MYCELIUM_WORKSPACE_ID $HOSTNAME";
    const names = await Promise.all(forks.map((fork) => output(fork, ask)));
    expect(names).toEqual(forks.map(({ id }) => `${id} ${id}`));
    const infos = await Promise.all(forks.map((fork) => fork.info()));
    expect(infos.map(({ forkedFrom }) => forkedFrom)).toEqual(forks.map(() => "one@golden"));
    const now = await Promise.all(forks.map((fork) => output(fork, "date +%s")));
    for (const seconds of now)
      expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(60);
    const random = "head -c 8 /dev/urandom | od -An -tx1";
    const drawn = await Promise.all(forks.map((fork) => output(fork, random)));
    expect(new Set(drawn).size).toBe(FORKS);
    if (can.ownHostName) {
      const machines = await Promise.all(forks.map((fork) => output(fork, "cat /etc/machine-id")));
      expect(new Set(machines).size).toBe(FORKS);
    }
    const hosts = new Set(await Promise.all(forks.map((fork) => output(fork, "uname -n"))));
    if (can.ownHostName) expect([...hosts]).toEqual(forks.map(({ id }) => id));
    expect(hosts.size).toBe(can.ownHostName ? FORKS : 1);
    expect([...hosts]).toEqual([...new Set(infos.map(({ hostname }) => hostname))]);
  });

  test("commits of forks come out each as its own", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    value(await workspace.snapshot("golden"));
    const pair = await rig.provider.fork("one@golden", [forkRequest("two"), forkRequest("three")]);
    for (const fork of pair.map(value)) {
      const head = await output(
        fork,
        "git commit -q --allow-empty -m $HOSTNAME; git rev-parse HEAD",
      );
      const collected = value(await fork.collect(seed().head));
      expect(collected).toMatchObject({ head, bundle: expect.any(String) });
    }
  });

  test("a fork is cut off where its source was not, or refused by a kind that cannot hold it", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    value(await workspace.snapshot("golden"));
    const request = { ...forkRequest("two"), network: "none" as const };
    const forks = await rig.provider.fork("one@golden", [request]);
    if (!can.networkNone) {
      expect(forks).toMatchObject([{ ok: false }]);
      expect(await rig.provider.list()).toEqual(["one"]);
      return;
    }
    const [fork] = forks.map(value);
    expect(await fork?.info()).toMatchObject({ network: "none", forkedFrom: "one@golden" });
    expect(await workspace.info()).toMatchObject({ network: "allow", forkedFrom: null });
  });

  test("a restore is no fork", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    value(await workspace.snapshot("good"));
    value(await workspace.restore("one@good"));
    expect(await workspace.info()).toMatchObject({ forkedFrom: null });
  });

  test("one fork that fails leaves the others", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    value(await workspace.snapshot("golden"));
    const requests = ["two", "one", "../traversal", "three"].map(forkRequest);
    const forks = await rig.provider.fork("one@golden", requests);
    expect(forks.map(({ ok }) => ok)).toEqual([true, false, false, true]);
    expect((await rig.provider.list()).toSorted()).toEqual(["one", "three", "two"]);
    const lost = await rig.provider.fork("one@missing", [forkRequest("four")]);
    expect(lost).toMatchObject([MISSING]);
    expect((await rig.provider.list()).toSorted()).toEqual(["one", "three", "two"]);
  });

  test("processes of the source are in a fork where the kind promises it, and only there", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    await workspace.startJob({ command: stubborn("daemon"), timeoutMs: 60_000 });
    await eventually("it runs", async () => isRunning(workspace, "daemon"));
    expect(value(await workspace.snapshot("golden"))).toMatchObject({ live: can.liveForks });
    const [fork] = (await rig.provider.fork("one@golden", [forkRequest("two")])).map(value);
    expect(fork).toBeDefined();
    if (fork === undefined) return;
    await workspace.destroy();
    expect(await isRunning(fork, "daemon")).toBe(can.liveForks);
  });
}
