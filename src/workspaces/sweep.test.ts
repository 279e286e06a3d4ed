import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { manualClock } from "../../test/support/manual-clock.ts";
import { ledgerOf, makeUntilKilled, type Making } from "../../test/support/lasting-maker.ts";
import { seedOf, value } from "../../test/support/lasting-rig.ts";
import { localRig, type LocalRig } from "../../test/support/local-rig.ts";
import { seedRepository, type SeedRepository } from "../../test/support/seed-repository.ts";
import { ENV, output } from "../../test/support/workspace-rig.ts";
import { Refusal } from "../domain/failure.ts";
import { systemClock, type Clock } from "../lib/clock.ts";
import { self, type KeptOwner } from "./kept-ledger.ts";
import { createKept, snapshotKept } from "./kept-workspaces.ts";
import type { LastingProvider, LastingWorkspace } from "./lasting-workspace.ts";
import { sweepKept, type SweepReport } from "./sweep.ts";

const HOUR_MS = 3_600_000;
/** A pid that no process has. */
const NOBODY: KeptOwner = { pid: 2 ** 22 + 1, identity: "0@never" };

const rescuedDir = (rig: LocalRig): string => join(rig.root, "../rescued");

function sweep(
  rig: LocalRig,
  clock: Clock = systemClock,
  afterMs = 0,
  providers: readonly LastingProvider[] = [rig.provider],
): Promise<SweepReport> {
  return sweepKept({
    ledger: ledgerOf(rig.root),
    providers,
    clock,
    afterMs,
    rescuedDir: rescuedDir(rig),
    env: ENV,
    dryRun: false,
    isSessionLive: () => false,
  });
}

async function make(
  rig: LocalRig,
  seed: SeedRepository | null,
  owner: KeptOwner,
): Promise<LastingWorkspace> {
  const means = { provider: rig.provider, ledger: ledgerOf(rig.root), owner };
  const from = seed === null ? null : seedOf(seed);
  return value(await createKept(means, { id: "one", seed: from, env: ENV }));
}

test("what a person or a living process owns is not touched", async () => {
  await using rig = await localRig();
  await make(rig, null, "person");
  const two = { id: "two", seed: null, env: ENV };
  const means = { provider: rig.provider, ledger: ledgerOf(rig.root) };
  value(await createKept({ ...means, owner: self() }, two));
  expect(await sweep(rig)).toEqual({ removed: [], failed: [], waiting: [], pruned: [] });
  expect(await rig.provider.list()).toHaveLength(2);
});

test("what nobody owns is removed when its time is over, from when it was first seen so", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  await make(rig, seed, NOBODY);
  const clock = manualClock();
  expect(await sweep(rig, clock, HOUR_MS)).toMatchObject({ waiting: [{ id: "one" }] });
  clock.advance(HOUR_MS - 1);
  expect(await sweep(rig, clock, HOUR_MS)).toMatchObject({ removed: [] });
  clock.advance(1);
  expect(await sweep(rig, clock, HOUR_MS)).toEqual({
    removed: [{ id: "one", what: "workspace", kind: "local", why: "unowned", rescued: null }],
    failed: [],
    waiting: [],
    pruned: [],
  });
  expect(await rig.provider.list()).toEqual([]);
  expect(await readdir(join(rig.root, "../kept"))).toEqual([".sweep.lock"]);
});

test("commits and what is not committed are recorded before it goes", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const workspace = await make(rig, seed, NOBODY);
  await output(workspace, "echo more >> README.md && git commit -qam more && rm src/main.js");
  await output(
    workspace,
    "printf '\\000\\001' > binary && echo new > 'a new file' && chmod +x binary",
  );
  const head = await output(workspace, "git rev-parse HEAD");
  await workspace.stop();
  const { removed } = await sweep(rig);
  const folder = join(rescuedDir(rig), "one");
  expect(removed).toMatchObject([{ id: "one", rescued: folder }]);
  const files = ["commits.bundle", "note.json", "uncommitted.patch"];
  expect((await readdir(folder)).toSorted()).toEqual(files);
  const note = JSON.parse(await readFile(join(folder, "note.json"), "utf8")) as object;
  expect(note).toMatchObject({ id: "one", base: seed.head, head });
  await seed.git("fetch", "-q", join(folder, "commits.bundle"), "HEAD");
  await seed.git("checkout", "-q", "FETCH_HEAD");
  await seed.git("apply", "--index", join(folder, "uncommitted.patch"));
  expect(await seed.git("rev-parse", "HEAD")).toBe(head);
  expect(await seed.git("status", "--porcelain")).toBe(
    'A  "a new file"\nA  binary\nD  src/main.js',
  );
});

test.each([
  ["an empty one that was filled", null, "echo 1 > file"],
  ["one whose repository is broken", "seeded", "rm .git/HEAD; echo 1 > file"],
] as const)("of %s the whole folder is recorded", async (_name, from, command) => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const workspace = await make(rig, from === null ? null : seed, NOBODY);
  await output(workspace, command);
  await sweep(rig);
  const archive = join(rescuedDir(rig), "one/repository.tar");
  expect((await readFile(archive)).includes("./file")).toBe(true);
  expect(await rig.provider.list()).toEqual([]);
});

test("what cannot be recorded is not removed", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const workspace = await make(rig, seed, NOBODY);
  await output(workspace, "echo 1 > file");
  await writeFile(rescuedDir(rig), "in the way");
  await expect(sweep(rig)).rejects.toThrow(/EEXIST|ENOTDIR/);
  expect(await output(workspace, "cat file")).toBe("1");
});

test("an earlier rescue of the same name stays", async () => {
  await using rig = await localRig();
  for (const text of ["first", "second"]) {
    const workspace = await make(rig, null, NOBODY);
    await output(workspace, `echo ${text} > file`);
    await sweep(rig);
  }
  expect((await readdir(rescuedDir(rig))).toSorted()).toEqual(["one", "one-2"]);
});

test("workspaces of runs and what the book does not know of others' are told apart", async () => {
  await using rig = await localRig();
  value(await rig.provider.create({ id: "run-1.task.1", seed: null, env: ENV }));
  value(await rig.provider.create({ id: "unknown", seed: null, env: ENV }));
  expect((await sweep(rig)).removed.map(({ id }) => id)).toEqual(["unknown"]);
  expect(await rig.provider.list()).toEqual(["run-1.task.1"]);
});

test("a kind that cannot be asked is told, and holds up no other", async () => {
  await using rig = await localRig();
  value(await rig.provider.create({ id: "unknown", seed: null, env: ENV }));
  const why = "no Docker Engine answers";
  const down: LastingProvider = {
    ...rig.provider,
    kind: "docker",
    list: () => Promise.reject(new Refusal("workspace-unavailable", why)),
  };
  const report = await sweep(rig, systemClock, 0, [down, rig.provider]);
  expect(report.failed).toEqual([{ id: "docker", message: why }]);
  expect(report.removed.map(({ id }) => id)).toEqual(["unknown"]);
});

const KILLS: readonly (readonly [Making["act"], string])[] = [
  ["keptCreate", "kept.claimed"],
  ["keptCreate", "workspace.recorded"],
  ["keptCreate", "kept.made"],
  ["keptFork", "kept.claimed"],
  ["keptFork", "fork.recorded"],
  ["keptFork", "fork.copied"],
  ["keptFork", "kept.made"],
  ["keptSnapshot", "kept.claimed"],
  ["keptSnapshot", "snapshot.recorded"],
  ["keptSnapshot", "snapshot.copied"],
  ["keptSnapshot", "kept.made"],
  ["keptDestroy", "kept.removing"],
  ["keptDestroy", "workspace.removing"],
  ["keptDeleteSnapshot", "kept.removing"],
  ["prepare", "kept.claimed"],
  ["prepare", "snapshot.copied"],
  ["prepare", "golden.made"],
];

test.each(KILLS)(
  "what a killed %s at %s leaves, the sweep takes away at once",
  async (act, crashAt) => {
    await using rig = await localRig();
    await using seed = await seedRepository();
    const workspace = await make(rig, seed, "person");
    const means = { provider: rig.provider, ledger: ledgerOf(rig.root) };
    value(await snapshotKept(means, workspace, "base"));
    const killed = await makeUntilKilled({ root: rig.root, seed: seedOf(seed), act, crashAt });
    expect(killed).toBe("SIGKILL");
    const report = await sweep(rig, systemClock, HOUR_MS);
    expect(report).toMatchObject({ failed: [], waiting: [] });
    const isDestroyed = act === "keptDestroy";
    expect(await rig.provider.list()).toEqual(isDestroyed ? [] : ["one"]);
    const book = ledgerOf(rig.root).list();
    expect(book.filter(({ state }) => state !== "ready")).toEqual([]);
    // One that was whole when its maker was killed stays, in the book as well as outside.
    const snapshots = (await rig.provider.listSnapshots()).map(({ id }) => id).toSorted();
    const inBook = book.filter(({ what }) => what === "snapshot").map(({ id }) => id);
    expect(inBook.toSorted()).toEqual(snapshots);
    expect(snapshots).toContain("one@base");
    expect(await readdir(join(rig.root, "../snapshots"))).toEqual(snapshots);
    expect(await sweep(rig)).toEqual({ removed: [], failed: [], waiting: [], pruned: [] });
  },
);
