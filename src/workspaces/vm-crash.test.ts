import { readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { ledgerOf, makeUntilKilled, type Making } from "../../test/support/lasting-maker.ts";
import { machinesBelow } from "../../test/support/machines-below.ts";
import { makeLasting, seedOf, value } from "../../test/support/lasting-rig.ts";
import { seedRepository, type SeedRepository } from "../../test/support/seed-repository.ts";
import {
  describeWithMachines,
  VM_CACHE_DIR,
  VM_PREPARE_TIMEOUT_MS,
  vmRig,
  type VmRig,
} from "../../test/support/vm-rig.ts";
import { ENV, output } from "../../test/support/workspace-rig.ts";
import { systemClock } from "../lib/clock.ts";
import { endMarkedProcesses } from "../lib/process.ts";
import type { LastingWorkspace } from "./lasting-workspace.ts";
import { sweepKept } from "./sweep.ts";
import { machineMarker } from "./vm/machine.ts";

const TIMEOUT_MS = 120_000;

/** A machine `one` with a snapshot `base`, and then a file that is not in it. */
async function prepared(rig: VmRig): Promise<LastingWorkspace> {
  const workspace = await makeLasting(rig, null);
  await output(workspace, "echo base > state");
  value(await workspace.snapshot("base"));
  await output(workspace, "echo later > state");
  return workspace;
}

async function kill(
  rig: VmRig,
  seed: SeedRepository,
  what: Pick<Making, "act" | "crashAt">,
): Promise<void> {
  const making = { root: rig.root, seed: seedOf(seed), vmCacheDir: VM_CACHE_DIR, ...what };
  expect(await makeUntilKilled(making)).toBe("SIGKILL");
}

/** Writes down that a person has `one`. */
function own({ root }: VmRig): void {
  const ledger = ledgerOf(root);
  const known = { id: "one", what: "workspace", kind: "vm", owner: "person", base: null } as const;
  ledger.write({ ...value(ledger.claim(known)), state: "ready" });
}

function sweep({ root, provider }: VmRig) {
  return sweepKept({
    ledger: ledgerOf(root),
    providers: [provider],
    clock: systemClock,
    afterMs: 0,
    rescuedDir: join(root, "../rescued"),
    env: ENV,
    dryRun: false,
  });
}

/** Nothing is left: no workspace, snapshot, layer or machine. */
async function expectNothing(rig: VmRig): Promise<void> {
  for (const id of await rig.provider.list()) await rig.provider.remove(id);
  for (const { id } of (await rig.provider.listSnapshots()).toReversed()) {
    expect(await rig.provider.deleteSnapshot(id)).toMatchObject({ ok: true });
  }
  expect(readdirSync(rig.root)).toEqual([]);
  const left = readdirSync(join(rig.root, "../snapshots"), { recursive: true });
  expect(left.toSorted()).toEqual([".layers.lock", "layers"]);
  expect(machinesBelow(join(rig.root, ".."))).toEqual([]);
}

await describeWithMachines("machines whose maker is killed", () => {
  beforeAll(async () => {
    await using rig = await vmRig();
    await makeLasting(rig, null);
  }, VM_PREPARE_TIMEOUT_MS);

  test.each([
    ["create", "workspace.recorded"],
    ["fork", "fork.recorded"],
    ["fork", "fork.copied"],
  ] as const)(
    "a killed %s at %s is listed, not found, and removed",
    { timeout: TIMEOUT_MS },
    async (act, crashAt) => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      await prepared(rig);
      await kill(rig, seed, { act, crashAt });
      expect((await rig.provider.list()).toSorted()).toEqual(["one", "two"]);
      expect(await rig.provider.find({ id: "two", env: ENV })).toBeNull();
      const references = act === "fork" ? 2 : 1;
      expect(await rig.provider.listSnapshots()).toMatchObject([{ id: "one@base", references }]);
      await rig.provider.remove("two");
      const [fork] = await rig.provider.fork("one@base", [{ id: "two", env: ENV }]);
      expect(fork).toMatchObject({ ok: true });
      await expectNothing(rig);
    },
  );

  test.each([
    "snapshot.recorded",
    "snapshot.held",
    "snapshot.switched",
    "snapshot.sent",
    "snapshot.copied",
  ])(
    "a snapshot that is killed at %s is none, and its machine goes on",
    { timeout: TIMEOUT_MS },
    async (crashAt) => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      const workspace = await prepared(rig);
      await kill(rig, seed, { act: "snapshot", crashAt });
      expect(await rig.provider.listSnapshots()).toMatchObject([{ id: "one@base" }]);
      const fork = await rig.provider.fork("one@new", [{ id: "two", env: ENV }]);
      expect(fork).toMatchObject([{ ok: false }]);
      expect(await output(workspace, "cat state; echo more >> state; sync")).toBe("later");
      value(await workspace.snapshot("new"));
      value(await workspace.restore("base"));
      expect(await output(workspace, "cat state")).toBe("base");
      value(await workspace.restore("new"));
      expect(await output(workspace, "cat state")).toBe("later\nmore");
      await expectNothing(rig);
    },
  );

  test(
    "a half-made snapshot can be deleted, which lets its machine go on",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      const workspace = await prepared(rig);
      await kill(rig, seed, { act: "snapshot", crashAt: "snapshot.switched" });
      value(await rig.provider.deleteSnapshot("one@new"));
      expect(await output(workspace, "cat state")).toBe("later");
      value(await workspace.stop());
      value(await workspace.start());
      expect(await output(workspace, "cat state")).toBe("later");
      await expectNothing(rig);
    },
  );

  test(
    "a killed restore leaves a broken one, and the next mends it",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      const workspace = await prepared(rig);
      await kill(rig, seed, { act: "restore", crashAt: "restore.emptied" });
      expect(await workspace.info()).toMatchObject({ state: "broken" });
      const { ending } = await workspace.exec({ command: "true", timeoutMs: 1000 });
      expect(ending).toMatchObject({ kind: "unstartable" });
      value(await workspace.restore("base"));
      expect(await output(workspace, "cat state")).toBe("base");
      await expectNothing(rig);
    },
  );

  test.each([
    ["stop", "stop.intended"],
    ["stop", "stop.settled"],
    ["stop", "stop.ended"],
    ["start", "start.intended"],
    ["start", "machine.started"],
    ["start", "start.answered"],
  ] as const)(
    "a killed %s at %s leaves no machine that its record does not tell of",
    { timeout: TIMEOUT_MS },
    async (act, crashAt) => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      const workspace = await prepared(rig);
      await output(workspace, "echo kept > state; sync");
      if (act === "start") value(await workspace.stop());
      await kill(rig, seed, { act, crashAt });
      const found = await rig.reopen().find({ id: "one", env: ENV });
      expect(await found?.info()).toMatchObject({ state: "stopped" });
      expect(machinesBelow(rig.root)).toEqual([]);
      const { ending } = await workspace.exec({ command: "true", timeoutMs: 1000 });
      expect(ending).toMatchObject({ kind: "unstartable" });
      value(await workspace.start());
      expect(await output(workspace, "cat state")).toBe("kept");
      expect(machinesBelow(rig.root)).toEqual([join(rig.root, "one")]);
      await expectNothing(rig);
    },
  );

  test(
    "the sweep ends the machine that a killed stop left, and the workspace stays",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      await makeLasting(rig, null);
      own(rig);
      await kill(rig, seed, { act: "stop", crashAt: "stop.intended" });
      expect(machinesBelow(rig.root)).toHaveLength(1);
      expect(await sweep(rig)).toMatchObject({ removed: [], failed: [] });
      expect(machinesBelow(rig.root)).toEqual([]);
      expect(await rig.provider.list()).toEqual(["one"]);
    },
  );

  test(
    "a command that is killed while it starts an ended machine again leaves no half-started one",
    { timeout: TIMEOUT_MS },
    async () => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      const workspace = await prepared(rig);
      await output(workspace, "echo kept > state; sync");
      await endMarkedProcesses(machineMarker(join(rig.root, "one")));
      await kill(rig, seed, { act: "exec", crashAt: "machine.started" });
      const found = await rig.reopen().find({ id: "one", env: ENV });
      expect(await found?.info()).toMatchObject({ state: "broken" });
      expect(machinesBelow(rig.root)).toEqual([]);
      expect(await output(workspace, "cat state; uname -n")).toBe("kept\none");
      await expectNothing(rig);
    },
  );

  test.each([
    ["destroy", "workspace.removing"],
    ["deleteSnapshot", "snapshot.removing"],
  ] as const)(
    "a killed %s is finished by the next",
    { timeout: TIMEOUT_MS },
    async (act, crashAt) => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      await prepared(rig);
      if (act === "deleteSnapshot") await rig.provider.remove("one");
      await kill(rig, seed, { act, crashAt });
      expect(await rig.provider.find({ id: "one", env: ENV })).toBeNull();
      if (act === "deleteSnapshot") value(await rig.provider.deleteSnapshot("one@base"));
      await expectNothing(rig);
    },
  );

  test.each([
    ["keptCreate", "workspace.recorded", "two"],
    ["keptFork", "fork.copied", "two"],
    ["keptSnapshot", "snapshot.switched", "one@new"],
    ["keptDestroy", "workspace.removing", "one"],
  ] as const)(
    "the sweep takes away what a killed %s left at %s",
    { timeout: TIMEOUT_MS },
    async (act, crashAt, id) => {
      await using rig = await vmRig();
      await using seed = await seedRepository();
      await prepared(rig);
      own(rig);
      await kill(rig, seed, { act, crashAt });
      const swept = await sweep(rig);
      expect(swept).toMatchObject({ removed: [{ id, kind: "vm" }], failed: [] });
      expect(await rig.provider.list()).toEqual(id === "one" ? [] : ["one"]);
      await expectNothing(rig);
    },
  );
});
