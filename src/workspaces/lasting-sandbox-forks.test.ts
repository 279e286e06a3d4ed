import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { describeWithSandboxes } from "../../test/support/needs-sandbox.ts";
import { makeLasting, value } from "../../test/support/lasting-rig.ts";
import { sandboxRig, type SandboxRig } from "../../test/support/sandbox-rig.ts";
import { seedRepository } from "../../test/support/seed-repository.ts";
import { ENV, output, sh } from "../../test/support/workspace-rig.ts";
import type { LastingWorkspace } from "./lasting-workspace.ts";
import type { Workspace } from "./workspace.ts";

async function forkAll(
  rig: SandboxRig,
  from: string,
  ids: readonly string[],
): Promise<LastingWorkspace[]> {
  const forks = await rig.provider.fork(
    from,
    ids.map((id) => ({ id, env: ENV })),
  );
  return forks.map((fork) => {
    if (!fork.ok) throw new Error(fork.failure.message);
    return fork.value;
  });
}

await describeWithSandboxes("snapshots and forks of sandboxes", () => {
  test("forks have what was there at the snapshot, and go their own ways", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const golden = await makeLasting(rig, seed, "golden");
    await output(golden, "echo 1 > new; rm README.md; echo kept > $HOME/note; echo t > /tmp/t");
    expect(await golden.snapshot("one")).toMatchObject({
      ok: true,
      value: { id: "golden@one", parent: null, live: false, references: 1 },
    });
    await output(golden, "echo 2 > new");
    const [a, b] = (await forkAll(rig, "golden@one", ["a", "b"])) as [
      LastingWorkspace,
      LastingWorkspace,
    ];
    const look = "cat new $HOME/note /tmp/t; git status --porcelain";
    expect(await output(a, look)).toBe("1\nkept\nt\n D README.md\n?? new");
    await output(a, "echo 3 > new; git checkout -q README.md");
    expect(await output(b, look)).toBe("1\nkept\nt\n D README.md\n?? new");
    expect(await output(golden, "cat new")).toBe("2");
    await output(a, "git add -A; git commit -q -m work");
    const { bundle } = await collected(a, seed.head);
    expect(await seed.git("bundle", "verify", "-q", bundle)).toBe("");
  });

  test("each fork has a name, an id and random numbers of its own", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const golden = await makeLasting(rig, seed, "golden");
    await golden.snapshot("one");
    const ids = ["Fork.One", "fork_2", "fork-3", "fork-4"];
    const forks = await forkAll(rig, "golden@one", ids);
    const ask = "hostname; cat /etc/machine-id; head -c 16 /dev/urandom | od -An -tx1";
    const said = await Promise.all(forks.map((fork) => output(fork, ask)));
    const lines = said.map((text) => text.split("\n"));
    expect(lines.map(([name]) => name)).toEqual(["fork-one", "fork-2", "fork-3", "fork-4"]);
    expect(new Set(lines.map(([, id]) => id)).size).toBe(4);
    expect(new Set(lines.map(([, , random]) => random)).size).toBe(4);
    for (const [, id] of lines) expect(id).toMatch(/^[0-9a-f]{32}$/);
  });

  test("snapshots are a tree, and one goes only when nothing stands on it", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const golden = await makeLasting(rig, seed, "golden");
    await golden.snapshot("one");
    await output(golden, "echo 2 > second");
    await golden.snapshot("two");
    const [fork] = (await forkAll(rig, "golden@one", ["fork"])) as [LastingWorkspace];
    await fork.snapshot("three");
    const tree = (await rig.provider.listSnapshots()).map(
      ({ id, parent, references }) => `${id} on ${parent}: ${references}`,
    );
    expect(tree.toSorted()).toEqual([
      "fork@three on golden@one: 1",
      "golden@one on null: 2",
      "golden@two on golden@one: 1",
    ]);
    const refused = await rig.provider.deleteSnapshot("golden@one");
    expect(refused).toMatchObject({ ok: false, failure: { code: "workspace-failed" } });
    await golden.destroy();
    await fork.destroy();
    expect(await output(...(await alone(rig, "golden@two", "cat second")))).toBe("2");
    await rig.provider.remove("alone");
    for (const id of ["golden@two", "fork@three", "golden@one"]) {
      expect(await rig.provider.deleteSnapshot(id)).toMatchObject({ ok: true });
    }
    const layers = await readdir(join(rig.root, "layers"));
    expect(layers.filter((name) => name.startsWith("snap-"))).toEqual([]);
  });

  test("refuses what is not there, and what is taken", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const golden = await makeLasting(rig, seed, "golden");
    const no = { ok: false } as const;
    expect(await golden.snapshot("one")).toMatchObject({ ok: true });
    expect(await golden.snapshot("one")).toMatchObject(no);
    expect(await golden.snapshot("../x")).toMatchObject(no);
    expect(await rig.provider.deleteSnapshot("golden@none")).toMatchObject(no);
    const forks = await rig.provider.fork("golden@one", [
      { id: "fork", env: ENV },
      { id: "golden", env: ENV },
      { id: "../x", env: ENV },
    ]);
    expect(forks.map(({ ok }) => ok)).toEqual([true, false, false]);
    expect((await rig.provider.list()).toSorted()).toEqual(["fork", "golden"]);
  });

  test("a busy sandbox is copied as it is, and its processes go on", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const golden = await makeLasting(rig, seed, "golden");
    await output(golden, "rm -rf src; mkdir src; echo 1 > src/new; mkfifo pipe; ln README.md hard");
    // In one step: it may be held at any moment, and then an emptied file would be no fault.
    const count = "i=0; while :; do i=$((i+1)); echo $i > next; mv next count; sleep 0.005; done";
    value(await golden.startJob({ command: count, timeoutMs: 60_000 }));
    await eventually("it counts", async () => (await sh(golden, "cat count")).stdout.text !== "");
    value(await golden.snapshot("busy"));
    const before = await output(golden, "cat count");
    await eventually("it goes on", async () => (await output(golden, "cat count")) !== before);
    const [fork] = (await forkAll(rig, "golden@busy", ["fork"])) as [LastingWorkspace];
    expect(await output(fork, "ls src; test -p pipe && stat -c %h hard README.md")).toBe(
      "new\n2\n2",
    );
    expect(await output(fork, "cat count")).toMatch(/^\d+$/);
    // Nothing changes the frozen copy, and what stands on it goes with the next ones.
    value(await golden.snapshot("again"));
    expect(await rig.provider.listSnapshots()).toMatchObject([
      { id: "golden@busy", parent: null, references: 2 },
      { id: "golden@again", parent: "golden@busy", references: 1 },
    ]);
    value(await golden.restore("busy"));
    expect(await output(golden, "cat src/new")).toBe("1");
  });

  test("a fork has the network and the limits of its snapshot, unless it asks for others", async () => {
    await using rig = await sandboxRig();
    const made = await rig.provider.create({
      id: "golden",
      seed: null,
      env: ENV,
      network: "none",
      limits: { pids: 60, memoryMb: 300 },
    });
    value(await value(made).snapshot("one"));
    const forks = await rig.provider.fork("golden@one", [
      { id: "same", env: ENV },
      { id: "other", env: ENV, network: "allow", limits: { pids: 70 } },
    ]);
    expect(await Promise.all(forks.map((fork) => value(fork).info()))).toMatchObject([
      { network: "none", limits: { pids: 60, memoryMb: 300 } },
      { network: "allow", limits: { pids: 70, memoryMb: 300 } },
    ]);
  });

  test("there is an end to the layers that one stands on, before the kernel's", async () => {
    await using rig = await sandboxRig();
    const golden = await makeLasting(rig, null, "golden");
    await golden.stop();
    for (let number = 1; number < 100; number += 1) value(await golden.snapshot(`s${number}`));
    value(await golden.start());
    expect(await output(golden, "echo works > file; cat file")).toBe("works");
    expect(await golden.snapshot("over")).toMatchObject({ ok: false });
    expect(await output(golden, "cat file")).toBe("works");
  });
});

async function alone(
  rig: SandboxRig,
  snapshot: string,
  command: string,
): Promise<[Workspace, string]> {
  const [workspace] = (await forkAll(rig, snapshot, ["alone"])) as [LastingWorkspace];
  return [workspace, command];
}

async function collected(workspace: Workspace, base: string): Promise<{ bundle: string }> {
  const result = await workspace.collect(base);
  if (!result.ok || result.value.bundle === null) throw new Error(JSON.stringify(result));
  return { bundle: result.value.bundle };
}
