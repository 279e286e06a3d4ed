import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  dockerImage,
  dockerRig,
  engine,
  isSkipped,
  whySkipped,
  type DockerRig,
} from "../../../test/support/docker-rig.ts";
import { ledgerOf, makeUntilKilled, type Making } from "../../../test/support/lasting-maker.ts";
import { seedOf, value } from "../../../test/support/lasting-rig.ts";
import { seedRepository, type SeedRepository } from "../../../test/support/seed-repository.ts";
import { ENV, output } from "../../../test/support/workspace-rig.ts";
import { systemClock } from "../../lib/clock.ts";
import { createKept, snapshotKept } from "../kept-workspaces.ts";
import type { LastingWorkspace } from "../lasting-workspace.ts";
import { sweepKept, type SweepReport } from "../sweep.ts";
import { LABELS } from "./layout.ts";

const HOUR_MS = 3_600_000;

/** A workspace `one` of a person, with a snapshot `base`, and then a file that is not in it. */
async function prepared(rig: DockerRig, seed: SeedRepository): Promise<LastingWorkspace> {
  const means = { provider: rig.provider, ledger: ledgerOf(rig.root), owner: "person" } as const;
  const request = { id: "one", seed: seedOf(seed), env: ENV };
  const workspace = value(await createKept(means, request));
  await output(workspace, "echo base > state");
  value(await snapshotKept(means, workspace, "base"));
  await output(workspace, "echo later > state");
  return workspace;
}

async function kill(
  rig: DockerRig,
  seed: SeedRepository,
  what: Pick<Making, "act" | "crashAt">,
): Promise<void> {
  const image = await dockerImage();
  const making = { root: rig.root, seed: seedOf(seed), image, ...what };
  expect(await makeUntilKilled(making)).toBe("SIGKILL");
}

function sweep(rig: DockerRig): Promise<SweepReport> {
  return sweepKept({
    ledger: ledgerOf(rig.root),
    providers: [rig.provider],
    clock: systemClock,
    afterMs: HOUR_MS,
    rescuedDir: join(rig.root, "../rescued"),
    env: ENV,
    dryRun: false,
  });
}

/** What the engine and the disk have of this home, without asking the provider. */
async function found(rig: DockerRig) {
  const containers = await engine.listContainers({ [LABELS.home]: rig.root });
  const images = await engine.listImages({ [LABELS.home]: rig.root });
  return {
    containers: containers.map(({ labels }) => labels[LABELS.workspace]).toSorted(),
    folders: (await readdir(join(rig.root, "workspaces"))).toSorted(),
    snapshots: images.flatMap((labels) => labels[LABELS.snapshot] ?? []).toSorted(),
  };
}

const KILLS: readonly (readonly [Making["act"], string])[] = [
  ["keptCreate", "kept.claimed"],
  ["keptCreate", "workspace.recorded"],
  ["keptCreate", "workspace.built"],
  ["keptCreate", "kept.made"],
  ["keptFork", "kept.claimed"],
  ["keptFork", "fork.recorded"],
  ["keptFork", "fork.copied"],
  ["keptFork", "kept.made"],
  ["keptSnapshot", "kept.claimed"],
  ["keptSnapshot", "snapshot.copied"],
  ["keptSnapshot", "kept.made"],
  ["keptDestroy", "kept.removing"],
  ["keptDestroy", "workspace.removing"],
  ["keptDestroy", "workspace.emptied"],
  ["keptDeleteSnapshot", "kept.removing"],
  ["prepare", "kept.claimed"],
  ["prepare", "workspace.built"],
  ["prepare", "golden.made"],
];

describe.skipIf(isSkipped)(`containers whose maker is killed${whySkipped}`, () => {
  test.each(KILLS)(
    "what a killed %s at %s leaves, the sweep takes away at once",
    async (act, crashAt) => {
      await using rig = await dockerRig();
      await using seed = await seedRepository();
      await prepared(rig, seed);
      await kill(rig, seed, { act, crashAt });
      expect(await sweep(rig)).toMatchObject({ failed: [], waiting: [] });
      const workspaces = act === "keptDestroy" ? [] : ["one"];
      const book = ledgerOf(rig.root).list();
      expect(book.filter(({ state }) => state !== "ready")).toEqual([]);
      // One that was whole when its maker was killed stays, in the book as well as in the engine.
      const snapshots = book.filter(({ what }) => what === "snapshot").map(({ id }) => id);
      expect(snapshots).toContain("one@base");
      expect(await found(rig)).toEqual({
        containers: workspaces,
        folders: workspaces,
        snapshots: snapshots.toSorted(),
      });
      expect(await sweep(rig)).toEqual({ removed: [], failed: [], waiting: [], pruned: [] });
    },
  );

  test("a killed deletion of a snapshot is finished by the sweep", async () => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    const workspace = await prepared(rig, seed);
    await workspace.destroy();
    ledgerOf(rig.root).forget("one");
    await kill(rig, seed, { act: "keptDeleteSnapshot", crashAt: "snapshot.removing" });
    expect(await sweep(rig)).toMatchObject({ failed: [], waiting: [] });
    expect(await found(rig)).toEqual({ containers: [], folders: [], snapshots: [] });
    expect(ledgerOf(rig.root).list()).toEqual([]);
  });

  test.each([
    ["create", "workspace.recorded"],
    ["create", "workspace.built"],
    ["fork", "fork.recorded"],
    ["fork", "fork.copied"],
  ] as const)("a killed %s at %s is listed, not found, and removed", async (act, crashAt) => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    await prepared(rig, seed);
    await kill(rig, seed, { act, crashAt });
    expect((await rig.provider.list()).toSorted()).toEqual(["one", "two"]);
    expect(await rig.provider.find({ id: "two", env: ENV })).toBeNull();
    await rig.provider.remove("two");
    expect(await found(rig)).toMatchObject({ containers: ["one"], folders: ["one"] });
    const [again] = await rig.provider.fork("one@base", [{ id: "two", env: ENV }]);
    expect(again).toMatchObject({ ok: true });
  });

  test.each(["workspace.removing", "workspace.emptied"])(
    "a destroy that is killed at %s is not found, and finished by the next",
    async (crashAt) => {
      await using rig = await dockerRig();
      await using seed = await seedRepository();
      await prepared(rig, seed);
      await kill(rig, seed, { act: "destroy", crashAt });
      expect(await rig.provider.list()).toEqual(["one"]);
      expect(await rig.provider.find({ id: "one", env: ENV })).toBeNull();
      await rig.provider.remove("one");
      expect(await found(rig)).toMatchObject({ containers: [], folders: [] });
    },
  );

  test.each(["restore.intended", "restore.emptied"])(
    "a restore that is killed at %s is finished by whoever finds the workspace",
    async (crashAt) => {
      await using rig = await dockerRig();
      await using seed = await seedRepository();
      await prepared(rig, seed);
      await kill(rig, seed, { act: "restore", crashAt });
      const workspace = await rig.reopen().find({ id: "one", env: ENV });
      if (workspace === null) throw new Error("it was not found");
      expect(await output(workspace, "cat state; git status --porcelain")).toBe("base\n?? state");
      expect(await workspace.info()).toMatchObject({ state: "running" });
    },
  );
});
