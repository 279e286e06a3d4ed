import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { ledgerOf, makeUntilKilled, type Making } from "../../test/support/lasting-maker.ts";
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
import type { LastingWorkspace } from "./lasting-workspace.ts";
import { sweepKept } from "./sweep.ts";

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

/** The machines that run below a folder, whoever started them. */
function machinesBelow(folder: string): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const variables = readFileSync(`/proc/${name}/environ`, "utf8").split("\0");
        const marker = `MYCELIUM_MACHINE_DIR=${folder}/`;
        return variables.filter((variable) => variable.startsWith(marker));
      } catch {
        return [];
      }
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
      const ledger = ledgerOf(rig.root);
      const known = {
        id: "one",
        what: "workspace",
        kind: "vm",
        owner: "person",
        base: null,
      } as const;
      const claimed = value(ledger.claim(known));
      ledger.write({ ...claimed, state: "ready" });
      await kill(rig, seed, { act, crashAt });
      const swept = await sweepKept({
        ledger,
        providers: [rig.provider],
        clock: systemClock,
        afterMs: 0,
        rescuedDir: join(rig.root, "../rescued"),
        env: ENV,
        dryRun: false,
      });
      expect(swept).toMatchObject({ removed: [{ id, kind: "vm" }], failed: [] });
      expect(await rig.provider.list()).toEqual(id === "one" ? [] : ["one"]);
      await expectNothing(rig);
    },
  );
});
