import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { makeUntilKilled, type Making } from "../../test/support/lasting-maker.ts";
import { makeLasting, seedOf, value } from "../../test/support/lasting-rig.ts";
import { localRig, type LocalRig } from "../../test/support/local-rig.ts";
import { seedRepository, type SeedRepository } from "../../test/support/seed-repository.ts";
import { ENV, output, sh } from "../../test/support/workspace-rig.ts";

/** A workspace `one` with a snapshot `base`, and then a file that is not in it. */
async function prepared(rig: LocalRig, seed: SeedRepository) {
  const workspace = await makeLasting(rig, seed);
  await output(workspace, "echo base > state");
  value(await workspace.snapshot("base"));
  await output(workspace, "echo later > state");
  return workspace;
}

async function kill(
  rig: LocalRig,
  seed: SeedRepository,
  what: Pick<Making, "act" | "crashAt">,
): Promise<void> {
  const killed = await makeUntilKilled({ root: rig.root, seed: seedOf(seed), ...what });
  expect(killed).toBe("SIGKILL");
}

/** Nothing is left of any workspace or snapshot. */
async function expectNothing(rig: LocalRig): Promise<void> {
  for (const id of await rig.provider.list()) await rig.provider.remove(id);
  for (const { id } of (await rig.provider.listSnapshots()).toReversed()) {
    expect(await rig.provider.deleteSnapshot(id)).toMatchObject({ ok: true });
  }
  expect(await readdir(rig.root)).toEqual([]);
  expect(await readdir(join(rig.root, "../snapshots"))).toEqual([]);
}

test.each([
  ["create", "workspace.recorded"],
  ["fork", "fork.recorded"],
  ["fork", "fork.copied"],
] as const)("a killed %s at %s is listed, not found, and removed", async (act, crashAt) => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  await prepared(rig, seed);
  await kill(rig, seed, { act, crashAt });
  expect((await rig.provider.list()).toSorted()).toEqual(["one", "two"]);
  expect(await rig.provider.find({ id: "two", env: ENV })).toBeNull();
  const references = act === "fork" ? 2 : 1;
  expect(await rig.provider.listSnapshots()).toMatchObject([{ id: "one@base", references }]);
  await rig.provider.remove("two");
  expect(await rig.provider.listSnapshots()).toMatchObject([{ id: "one@base", references: 1 }]);
  expect(await rig.provider.fork("one@base", [{ id: "two", env: ENV }])).toMatchObject([
    { ok: true },
  ]);
  await expectNothing(rig);
});

test.each(["snapshot.recorded", "snapshot.held", "snapshot.copied"])(
  "a snapshot that is killed at %s is none, and can be taken again or deleted",
  async (crashAt) => {
    await using rig = await localRig();
    await using seed = await seedRepository();
    const workspace = await prepared(rig, seed);
    for (const again of [true, false]) {
      await kill(rig, seed, { act: "snapshot", crashAt });
      expect(await rig.provider.listSnapshots()).toMatchObject([{ id: "one@base" }]);
      const fork = await rig.provider.fork("one@new", [{ id: "two", env: ENV }]);
      expect(fork).toMatchObject([{ ok: false }]);
      if (again) expect(await workspace.snapshot("new")).toMatchObject({ ok: true });
      if (again) await workspace.restore("base");
      expect(await rig.provider.deleteSnapshot("one@new")).toMatchObject({ ok: true });
    }
    expect(await output(workspace, "cat state")).toBe("base");
    await expectNothing(rig);
  },
);

test("processes that a killed snapshot held go on with the next one", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const workspace = await prepared(rig, seed);
  const command = "echo up; until test -e go; do sleep 0.01; done; echo went";
  const { job } = value(await workspace.startJob({ command, timeoutMs: 60_000 }));
  const read = async () =>
    value(await workspace.readJob({ job, stdoutFrom: 0, stderrFrom: 0, bytesMax: 100 }));
  await eventually("it is up", async () => (await read()).stdoutBytes > 0);
  await kill(rig, seed, { act: "snapshot", crashAt: "snapshot.held" });
  value(await workspace.snapshot("new"));
  await workspace.writeFile("go", "");
  await eventually("it ends", async () => (await read()).ending !== null);
  expect((await read()).stdout.toString()).toBe("up\nwent\n");
});

test.each(["destroy", "remove"] as const)("a killed %s is finished by the next", async (act) => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  await prepared(rig, seed);
  await kill(rig, seed, { act, crashAt: "workspace.removing" });
  expect(await rig.provider.list()).toEqual(["one"]);
  expect(await rig.provider.find({ id: "one", env: ENV })).toBeNull();
  await expectNothing(rig);
});

test("a killed deletion of a snapshot is finished by the next", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  await prepared(rig, seed);
  await rig.provider.remove("one");
  await kill(rig, seed, { act: "deleteSnapshot", crashAt: "snapshot.removing" });
  expect(await rig.provider.listSnapshots()).toEqual([]);
  expect(await rig.provider.deleteSnapshot("one@base")).toMatchObject({ ok: true });
  await expectNothing(rig);
});

test("a restore that is killed before it took anything away has changed nothing", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const workspace = await prepared(rig, seed);
  await kill(rig, seed, { act: "restore", crashAt: "restore.staged" });
  expect(await output(workspace, "cat state")).toBe("later");
  value(await workspace.restore("base"));
  expect(await output(workspace, "cat state")).toBe("base");
  await expectNothing(rig);
});

test.each(["restore.intended", "restore.emptied", "restore.emptied:3"])(
  "a restore that is killed at %s leaves a broken one, and the next mends it",
  async (crashAt) => {
    await using rig = await localRig();
    await using seed = await seedRepository();
    const workspace = await prepared(rig, seed);
    await kill(rig, seed, { act: "restore", crashAt });
    expect(await workspace.info()).toMatchObject({ state: "broken" });
    expect((await sh(workspace, "true")).ending).toMatchObject({ kind: "unstartable" });
    expect(await workspace.snapshot("of-what")).toMatchObject({ ok: false });
    value(await workspace.restore("base"));
    expect(await workspace.info()).toMatchObject({ state: "running" });
    expect(await output(workspace, "cat state; git status --porcelain")).toBe("base\n?? state");
    await expectNothing(rig);
  },
);
