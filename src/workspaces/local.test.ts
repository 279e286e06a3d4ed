import { lstat, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { localRig } from "../../test/support/local-rig.ts";
import { seedRepository } from "../../test/support/seed-repository.ts";
import {
  ENV,
  isRunning,
  makeWorkspace,
  output,
  sh,
  stubborn,
} from "../../test/support/workspace-rig.ts";
import { describeWorkspaceContract } from "./workspace.contract.ts";

describeWorkspaceContract("local", () => localRig());

test("lies in folders of the documented names, and nowhere else", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const workspace = await makeWorkspace(rig, seed);
  expect((await readdir(join(rig.root, "one"))).toSorted()).toEqual([
    "context",
    "home",
    "outbox",
    "record.json",
    "repository",
    "tmp",
  ]);
  expect(workspace.repositoryDir).toBe(join(rig.root, "one/repository"));
  expect(workspace.contextDir).toBe(join(rig.root, "one/context"));
});

test("a command does not end its neighbour in the same workspace", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const workspace = await makeWorkspace(rig, seed);
  const wait = "touch started; until test -e stop; do sleep 0.01; done; echo undisturbed";
  const neighbour = sh(workspace, wait);
  await eventually("the neighbour runs", async () => isFile(`${workspace.repositoryDir}/started`));
  await output(workspace, "sleep 0.05 & true");
  await output(workspace, "touch stop");
  expect((await neighbour).stdout.text).toBe("undisturbed\n");
});

test("git finds no repository above one that a worker removed", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const workspace = await makeWorkspace(rig, seed);
  await output(workspace, "rm -rf .git && git init -q ../..");
  const { ending } = await sh(workspace, "git rev-parse --git-dir");
  expect(ending).toEqual({ kind: "exited", code: 128 });
});

test("the seed's private excludes keep files out of commits here too", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  await writeFile(join(seed.gitDir, "info/exclude"), "*.private\n");
  const workspace = await makeWorkspace(rig, seed);
  expect(await output(workspace, "touch a.private b; git status --porcelain")).toBe("?? b");
});

test("a shallow seed gives a workspace that works", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  await seed.git("commit", "-q", "--allow-empty", "-m", "second");
  const shallow = join(seed.path, "../shallow");
  await seed.git("clone", "-q", "--depth", "1", `file://${seed.path}`, shallow);
  const head = await seed.git("rev-parse", "HEAD");
  const workspace = await makeWorkspace(rig, { ...seed, gitDir: join(shallow, ".git"), head });
  expect(await output(workspace, "git log --format=%s; git commit -q --allow-empty -m x")).toBe(
    "second",
  );
  expect(await workspace.collect(head)).toMatchObject({ ok: true });
});

test("an object that never comes does not hold up collecting", async () => {
  await using rig = await localRig({ collectTimeoutMs: 300 });
  await using seed = await seedRepository();
  const workspace = await makeWorkspace(rig, seed);
  await output(
    workspace,
    `git commit -q --allow-empty -m x && head=$(git rev-parse HEAD)
     object=.git/objects/$(echo $head | cut -c1-2)/$(echo $head | cut -c3-)
     rm -f $object && mkfifo $object`,
  );
  expect(await workspace.collect(seed.head)).toMatchObject({
    ok: false,
    failure: { code: "workspace-failed", message: expect.stringContaining("took too long") },
  });
});

test("a bundle beyond its limit is a failure, not a full disk", async () => {
  await using rig = await localRig({ bundleBytesMax: 100_000 });
  await using seed = await seedRepository();
  const workspace = await makeWorkspace(rig, seed);
  await output(workspace, "head -c 300000 /dev/urandom > big; git add . && git commit -q -m big");
  expect(await workspace.collect(seed.head)).toMatchObject({
    ok: false,
    failure: { code: "workspace-failed" },
  });
  const outbox = join(rig.root, "one/outbox");
  for (const path of await readdir(outbox, { recursive: true })) {
    expect((await lstat(join(outbox, path))).size).toBeLessThanOrEqual(100_352);
  }
});

test("what a worker put into the outbox is not written through", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const workspace = await makeWorkspace(rig, seed);
  await output(
    workspace,
    "git commit -q --allow-empty -m x; mv ../outbox ../away; ln -s / ../outbox",
  );
  expect(await workspace.collect(seed.head)).toMatchObject({
    ok: false,
    failure: { message: expect.stringContaining("not a folder any more") },
  });
});

test("processes of another home are not taken for leftovers of an equal id", async () => {
  await using here = await localRig();
  await using there = await localRig();
  await using seed = await seedRepository();
  const mine = await makeWorkspace(here, seed, "same");
  const other = await makeWorkspace(there, seed, "same");
  const running = sh(other, stubborn("daemon"));
  await eventually("it runs", async () => isRunning(other, "daemon"));
  await mine.destroy();
  expect(await here.provider.endLeftovers("same")).toBe(0);
  expect(await isRunning(other, "daemon")).toBe(true);
  expect(await there.provider.endLeftovers("same")).toBeGreaterThan(0);
  expect(await isRunning(other, "daemon")).toBe(false);
  await running;
});

test("a found workspace is rid of its earlier life when it is destroyed", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const earlier = await makeWorkspace(rig, seed);
  const running = sh(earlier, stubborn("daemon"));
  await eventually("it runs", async () => isRunning(earlier, "daemon"));
  const found = await rig.provider.find({ id: "one", env: ENV });
  await found?.destroy();
  // Its parent may have seen it die first, and then exits by itself.
  expect(["signalled", "exited"]).toContain((await running).ending.kind);
});

test("folders that are too deep for a path are removed", async () => {
  await using rig = await localRig();
  await using seed = await seedRepository();
  const workspace = await makeWorkspace(rig, seed);
  const script = `const { mkdirSync } = require("node:fs");
    for (let depth = 0; depth < 60; depth += 1) {
      mkdirSync("d".repeat(100));
      process.chdir("d".repeat(100));
    }`;
  const command = [process.execPath, "-e", script] as const;
  const { ending } = await workspace.exec({ command, timeoutMs: 60_000 });
  expect(ending).toEqual({ kind: "exited", code: 0 });
  await workspace.destroy();
  expect(await readdir(rig.root)).toEqual([]);
});

async function isFile(path: string): Promise<boolean> {
  return lstat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
