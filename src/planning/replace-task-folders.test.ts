import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { compareIds } from "../domain/schedule.ts";
import { manifestSchema, type TaskDefinition } from "../domain/task.ts";
import { readRecord, replacementSteps, takeStep, writeRecord } from "./plan-record.ts";
import { findObstacles, replaceTaskFolders, takeInventory } from "./replace-task-folders.ts";
import { listTaskFolders, readTaskFolders } from "./task-folders.ts";

function task(id: string, name: string, spec = `Do ${name}.`): TaskDefinition {
  return { manifest: manifestSchema.parse({ id, name }), spec };
}

const OLD = [task("001", "One"), task("002", "Two"), task("003", "Three")];
const NEW = [task("001", "One", "Do one again."), task("002", "Second"), task("004", "Four")];

async function tasksIn(tasksDir: string) {
  return (await readTaskFolders(tasksDir)).map(({ manifest, spec }) => ({ manifest, spec }));
}

test("what was written is read back the same", async () => {
  const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,8}$/);
  const glob = fc.stringMatching(/^[a-z0-9*]{1,8}$/);
  const definition = fc.record({
    manifest: fc
      .record({
        id,
        name: fc.string({ unit: "binary", minLength: 1 }).map((name) => `x${name}y`),
        description: fc.string(),
        dependencies: fc.array(id),
        files: fc.record({ reads: fc.array(glob), writes: fc.array(glob) }),
        estimated_minutes: fc.integer({ min: 1, max: 99 }),
      })
      .map((fields) => manifestSchema.parse(fields)),
    spec: fc.string({ unit: "binary" }).filter((spec) => !spec.startsWith("\uFEFF")),
  });
  const plans = fc.uniqueArray(definition, {
    maxLength: 6,
    selector: ({ manifest }) => manifest.id.toLowerCase(),
  });
  await using folder = await temporaryFolder();
  await fc.assert(
    fc.asyncProperty(plans, async (tasks) => {
      await replaceTaskFolders(folder.path, "/plan.md", tasks);
      const ordered = tasks.toSorted((one, other) =>
        compareIds(one.manifest.id, other.manifest.id),
      );
      expect(await tasksIn(folder.path)).toEqual(ordered);
    }),
    { numRuns: 40 },
  );
});

test("planning again replaces exactly what planning wrote before", async () => {
  await using folder = await temporaryFolder();
  await replaceTaskFolders(folder.path, "/plan.md", OLD);
  await mkdir(join(folder.path, "x-by-hand"));
  await writeFile(join(folder.path, "x-by-hand/notes.txt"), "mine");
  await replaceTaskFolders(folder.path, "/plan.md", NEW);
  expect((await readdir(folder.path)).toSorted()).toEqual([
    "001-one",
    "002-second",
    "004-four",
    "_plan.json",
    "x-by-hand",
  ]);
  expect(await readFile(join(folder.path, "001-one/spec.md"), "utf8")).toBe("Do one again.");
  expect(await readFile(join(folder.path, "x-by-hand/notes.txt"), "utf8")).toBe("mine");
});

test("after a crash at any step the new tasks are completed, and no id is ever there twice", async () => {
  await using folder = await temporaryFolder();
  const interrupted = join(folder.path, "interrupted");
  await prepareInterrupted(folder.path, interrupted);
  const { record } = await readRecord(interrupted);
  const steps = replacementSteps(record);
  expect(steps.length).toBe(5);
  for (let taken = 0; taken <= steps.length; taken += 1) {
    const crashed = join(folder.path, `crashed-${taken}`);
    await cp(interrupted, crashed, { recursive: true });
    for (const step of steps.slice(0, taken)) {
      await takeStep(crashed, step);
      const ids = (await listTaskFolders(crashed)).map((name) => name.split("-")[0]);
      expect(new Set(ids).size).toBe(ids.length);
    }
    expect(await tasksIn(crashed)).toEqual(NEW);
    expect((await readRecord(crashed)).record).toMatchObject({ state: "complete", previous: [] });
    expect(existsSync(join(crashed, ".planning"))).toBe(false);
    await replaceTaskFolders(crashed, "/plan.md", OLD);
    expect(await tasksIn(crashed)).toEqual(OLD);
  }
});

test("planning anew over an interrupted planning leaves nothing of either", async () => {
  await using folder = await temporaryFolder();
  const interrupted = join(folder.path, "interrupted");
  await prepareInterrupted(folder.path, interrupted);
  await replaceTaskFolders(interrupted, "/plan.md", [task("009", "Nine")]);
  expect(await listTaskFolders(interrupted)).toEqual(["009-nine"]);
});

test("a crash before the new tasks are ready leaves the old ones", async () => {
  await using folder = await temporaryFolder();
  await replaceTaskFolders(folder.path, "/plan.md", OLD);
  await mkdir(join(folder.path, ".planning/001-half"), { recursive: true });
  expect(await tasksIn(folder.path)).toEqual(OLD);
  await replaceTaskFolders(folder.path, "/plan.md", NEW);
  expect(await tasksIn(folder.path)).toEqual(NEW);
});

test("folders of a person are in the way only where they have a planned task's id", async () => {
  await using folder = await temporaryFolder();
  await replaceTaskFolders(folder.path, "/plan.md", OLD);
  await cp(join(folder.path, "002-two"), join(folder.path, "002-mine"), { recursive: true });
  await mkdir(join(folder.path, "004-four"));
  await mkdir(join(folder.path, "005-broken"));
  const inventory = await takeInventory(folder.path);
  expect(inventory.planned).toEqual(["001-one", "002-two", "003-three"]);
  expect(inventory.byHand).toEqual(["002-mine", "004-four", "005-broken"]);
  const obstacles = await findObstacles(folder.path, inventory, NEW);
  expect(obstacles.map(({ path, problem }) => [path, problem])).toEqual([
    ["task 002", `has the id of ${join(folder.path, "002-mine")}, which a person added`],
    ["task 004", "has the id of 004-four, which a person added"],
  ]);
});

test("a file that a person put into a planned folder is not lost with it", async () => {
  await using folder = await temporaryFolder();
  await replaceTaskFolders(folder.path, "/plan.md", OLD);
  await writeFile(join(folder.path, "003-three/notes.txt"), "mine");
  const obstacles = await findObstacles(folder.path, await takeInventory(folder.path), NEW);
  expect(obstacles).toMatchObject([
    { path: join(folder.path, "003-three"), problem: expect.stringContaining("notes.txt") },
  ]);
});

test("a record that names folders outside is refused before anything is removed", async () => {
  await using folder = await temporaryFolder();
  const tasksDir = join(folder.path, "tasks");
  await mkdir(join(folder.path, "precious"));
  await mkdir(tasksDir);
  await replaceTaskFolders(tasksDir, "/plan.md", OLD);
  const { record } = await readRecord(tasksDir);
  await writeRecord(tasksDir, { ...record, previous: ["../precious"], state: "replacing" });
  await expect(readTaskFolders(tasksDir)).rejects.toThrow("_plan.json cannot be used");
  await expect(replaceTaskFolders(tasksDir, "/plan.md", NEW)).rejects.toThrow("_plan.json");
  expect(existsSync(join(folder.path, "precious"))).toBe(true);
});

/** What a process leaves that dies right after it recorded the replacement of OLD by NEW. */
async function prepareInterrupted(root: string, interrupted: string): Promise<void> {
  const finished = join(root, "finished");
  await mkdir(interrupted);
  await mkdir(finished);
  await replaceTaskFolders(interrupted, "/plan.md", OLD);
  await replaceTaskFolders(finished, "/plan.md", NEW);
  const old = (await readRecord(interrupted)).record;
  const { record } = await readRecord(finished);
  for (const name of record.folders) {
    await cp(join(finished, name), join(interrupted, ".planning", name), { recursive: true });
  }
  await writeRecord(interrupted, { ...record, previous: old.folders, state: "replacing" });
}
