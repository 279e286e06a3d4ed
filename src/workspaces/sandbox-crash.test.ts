import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { ledgerOf, makeUntilKilled, type Making } from "../../test/support/lasting-maker.ts";
import { makeLasting, seedOf, value } from "../../test/support/lasting-rig.ts";
import { processesWith } from "../../test/support/marked-processes.ts";
import { describeWithSandboxes } from "../../test/support/needs-sandbox.ts";
import { sandboxRig, type SandboxRig } from "../../test/support/sandbox-rig.ts";
import { seedRepository, type SeedRepository } from "../../test/support/seed-repository.ts";
import { ENV, output } from "../../test/support/workspace-rig.ts";
import { systemClock } from "../lib/clock.ts";
import { createKept, snapshotKept } from "./kept-workspaces.ts";
import { sandboxMarker } from "./sandbox/start.ts";
import { sweepKept } from "./sweep.ts";

/** A sandbox `one` with a snapshot `base`, and then a file that is not in it. */
async function prepared(rig: SandboxRig, seed: SeedRepository) {
  const workspace = await makeLasting(rig, seed);
  await output(workspace, "echo base > state");
  value(await workspace.snapshot("base"));
  await output(workspace, "echo later > state");
  return workspace;
}

async function kill(
  rig: SandboxRig,
  seed: SeedRepository,
  what: Pick<Making, "act" | "crashAt">,
): Promise<void> {
  const from = { kind: "sandbox", root: rig.root, seed: seedOf(seed) } as const;
  expect(await makeUntilKilled({ ...from, ...what })).toBe("SIGKILL");
}

/** Nothing is left of any sandbox or snapshot but spare checkouts. */
async function expectNothing(rig: SandboxRig): Promise<void> {
  for (const id of await rig.provider.list()) await rig.provider.remove(id);
  for (const { id } of (await rig.provider.listSnapshots()).toReversed()) {
    expect(await rig.provider.deleteSnapshot(id)).toMatchObject({ ok: true });
  }
  expect(await readdir(join(rig.root, "workspaces"))).toEqual([]);
  expect(await readdir(join(rig.root, "snapshots"))).toEqual([]);
  const layers = await readdir(join(rig.root, "layers"));
  expect(layers.filter((name) => !name.startsWith("base-"))).toEqual([]);
  const workspaces = join(await realpath(rig.root), "workspaces");
  for (const id of ["one", "two"]) {
    expect(processesWith(sandboxMarker(join(workspaces, id)))).toEqual([]);
  }
}

await describeWithSandboxes("makers of sandboxes that are killed", () => {
  test.each([
    ["create", "workspace.recorded"],
    ["create", "sandbox.joined"],
    ["create", "sandbox.started"],
    ["fork", "fork.recorded"],
    ["fork", "fork.copied"],
    ["fork", "sandbox.joined"],
    ["fork", "sandbox.started"],
  ] as const)("a killed %s at %s is listed, not found, and removed", async (act, crashAt) => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    await prepared(rig, seed);
    await kill(rig, seed, { act, crashAt });
    expect((await rig.provider.list()).toSorted()).toEqual(["one", "two"]);
    expect(await rig.provider.find({ id: "two", env: ENV })).toBeNull();
    const references = act === "fork" ? 2 : 1;
    expect(await rig.provider.listSnapshots()).toMatchObject([{ id: "one@base", references }]);
    await rig.provider.remove("two");
    expect(await rig.provider.listSnapshots()).toMatchObject([{ id: "one@base", references: 1 }]);
    const [again] = await rig.provider.fork("one@base", [{ id: "two", env: ENV }]);
    expect(again).toMatchObject({ ok: true });
    await expectNothing(rig);
  });

  test("a start whose maker is killed before it was let go on ends by itself", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    await prepared(rig, seed);
    await kill(rig, seed, { act: "fork", crashAt: "sandbox.joined" });
    const folder = join(await realpath(rig.root), "workspaces/two");
    expect(await readdir(folder)).toContain("runtime.log");
    await eventually("it ended", () => processesWith(sandboxMarker(folder)).length === 0);
    await expectNothing(rig);
  });

  test("a snapshot that is killed before its layer moved is none, and can be taken or deleted", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await prepared(rig, seed);
    for (const again of [true, false]) {
      await kill(rig, seed, { act: "snapshot", crashAt: "snapshot.recorded" });
      expect(await rig.provider.listSnapshots()).toMatchObject([{ id: "one@base" }]);
      const fork = await rig.provider.fork("one@new", [{ id: "two", env: ENV }]);
      expect(fork).toMatchObject([{ ok: false }]);
      if (again) value(await workspace.snapshot("new"));
      if (again) value(await workspace.restore("base"));
      expect(await rig.provider.deleteSnapshot("one@new")).toMatchObject({ ok: true });
    }
    expect(await output(workspace, "cat state")).toBe("base");
    await expectNothing(rig);
  });

  test("one that is killed when its layer was moved is whole, and its sandbox goes on above it", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await prepared(rig, seed);
    await kill(rig, seed, { act: "snapshot", crashAt: "snapshot.copied" });
    expect(await workspace.info()).toMatchObject({ state: "stopped" });
    expect(await output(workspace, "cat state; echo last > state")).toBe("later");
    expect(await rig.provider.listSnapshots()).toMatchObject([
      { id: "one@base", references: 1 },
      { id: "one@new", references: 1 },
    ]);
    const [fork] = await rig.provider.fork("one@new", [{ id: "two", env: ENV }]);
    expect(await output(value(fork ?? { ok: false, failure: {} }), "cat state")).toBe("later");
    await expectNothing(rig);
  });

  test("processes that a killed snapshot held go on with the next command", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await prepared(rig, seed);
    const command = "echo up; until test -e go; do sleep 0.01; done; echo went";
    const { job } = value(await workspace.startJob({ command, timeoutMs: 60_000 }));
    const read = async () =>
      value(await workspace.readJob({ job, stdoutFrom: 0, stderrFrom: 0, bytesMax: 100 }));
    await eventually("it is up", async () => (await read()).stdoutBytes > 0);
    await kill(rig, seed, { act: "snapshot", crashAt: "snapshot.held" });
    await workspace.writeFile("go", "");
    await eventually("it ends", async () => (await read()).ending !== null);
    expect((await read()).stdout.toString()).toBe("up\nwent\n");
    expect(await rig.provider.listSnapshots()).toHaveLength(1);
    value(await workspace.snapshot("new"));
    await expectNothing(rig);
  });

  test.each(["destroy", "remove"] as const)("a killed %s is finished by the next", async (act) => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    await prepared(rig, seed);
    await kill(rig, seed, { act, crashAt: "workspace.removing" });
    expect(await rig.provider.list()).toEqual(["one"]);
    expect(await rig.provider.find({ id: "one", env: ENV })).toBeNull();
    await expectNothing(rig);
  });

  test("a killed deletion of a snapshot is finished by the next", async () => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    await prepared(rig, seed);
    await rig.provider.remove("one");
    await kill(rig, seed, { act: "deleteSnapshot", crashAt: "snapshot.removing" });
    expect(await rig.provider.listSnapshots()).toEqual([]);
    expect(await rig.provider.deleteSnapshot("one@base")).toMatchObject({ ok: true });
    await expectNothing(rig);
  });

  test.each([
    ["restore.staged", "later"],
    ["restore.intended", "base"],
    ["sandbox.started", "base"],
  ])("a restore that is killed at %s left it with one state, whole: %s", async (crashAt, state) => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const workspace = await prepared(rig, seed);
    await kill(rig, seed, { act: "restore", crashAt });
    expect(await workspace.info()).toMatchObject({ state: "stopped" });
    value(await workspace.start());
    expect(await output(workspace, "cat state")).toBe(state);
    const own = (await readdir(join(rig.root, "workspaces/one"))).filter((name) =>
      name.startsWith("upper-"),
    );
    expect(own).toHaveLength(1);
    value(await workspace.restore("base"));
    expect(await output(workspace, "cat state")).toBe("base");
    await expectNothing(rig);
  });

  test.each([
    ["keptCreate", "kept.claimed"],
    ["keptCreate", "workspace.recorded"],
    ["keptCreate", "sandbox.started"],
    ["keptCreate", "kept.made"],
    ["keptFork", "fork.recorded"],
    ["keptFork", "sandbox.started"],
    ["keptFork", "kept.made"],
    ["keptSnapshot", "snapshot.recorded"],
    ["keptSnapshot", "snapshot.copied"],
    ["keptDestroy", "kept.removing"],
    ["keptDestroy", "workspace.removing"],
  ] as const)("the sweep finds what a %s left that was killed at %s", async (act, crashAt) => {
    await using rig = await sandboxRig();
    await using seed = await seedRepository();
    const ledger = ledgerOf(rig.root);
    const means = { provider: rig.provider, ledger, owner: "person" } as const;
    const one = value(await createKept(means, { id: "one", seed: seedOf(seed), env: ENV }));
    value(await snapshotKept(means, one, "base"));
    await kill(rig, seed, { act, crashAt });
    const report = await sweepKept({
      ledger,
      providers: [rig.provider],
      clock: systemClock,
      afterMs: 0,
      rescuedDir: join(rig.root, "../rescued"),
      env: ENV,
      dryRun: false,
    });
    expect(report).toMatchObject({ failed: [], waiting: [] });
    const isDestroyed = act === "keptDestroy";
    expect(await rig.provider.list()).toEqual(isDestroyed ? [] : ["one"]);
    // One that was whole when its maker was killed stays, in the book as well as outside.
    const snapshots = (await rig.provider.listSnapshots()).map(({ id }) => id).toSorted();
    expect(snapshots).toContain("one@base");
    const book = ledger.list();
    expect(book.filter(({ state }) => state !== "ready")).toEqual([]);
    const inBook = book.filter(({ what }) => what === "snapshot").map(({ id }) => id);
    expect(inBook.toSorted()).toEqual(snapshots);
    await expectNothing(rig);
  });
});
