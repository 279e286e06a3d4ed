import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { Refusal } from "../domain/failure.ts";
import type { Problem } from "../domain/problem.ts";
import { manifestSchema } from "../domain/task.ts";
import { readTaskFolder, readTaskFolders, rewriteManifest } from "./task-folders.ts";

async function writeTask(folder: string, manifest: unknown, spec = "Do it.") {
  await mkdir(folder);
  await writeFile(join(folder, "manifest.json"), JSON.stringify(manifest));
  await writeFile(join(folder, "spec.md"), spec);
}

async function problemsOf(reading: Promise<unknown>): Promise<readonly Problem[]> {
  const error: unknown = await reading.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Refusal)) throw new Error("it was not refused", { cause: error });
  expect(error.failure.code).toBe("task-invalid");
  return error.failure.details["problems"] as readonly Problem[];
}

test("reads tasks in the order in which people number them", async () => {
  await using folder = await temporaryFolder();
  await writeTask(join(folder.path, "10-ten"), { id: "10", name: "Ten" });
  await writeTask(join(folder.path, "2"), { id: "2", name: "Two" }, "Two.");
  await mkdir(join(folder.path, "_notes"));
  await mkdir(join(folder.path, ".hidden"));
  await writeFile(join(folder.path, "README.md"), "not a task");
  const tasks = await readTaskFolders(folder.path);
  expect(tasks.map(({ manifest, path }) => [manifest.id, path])).toEqual([
    ["2", join(folder.path, "2")],
    ["10", join(folder.path, "10-ten")],
  ]);
  expect(tasks[0]).toMatchObject({ spec: "Two.", manifest: { locks: { reads: [], writes: [] } } });
});

test("a folder that is missing holds no tasks", async () => {
  await using folder = await temporaryFolder();
  expect(await readTaskFolders(join(folder.path, "tasks"))).toEqual([]);
});

test("tells every problem of every folder, by path", async () => {
  await using folder = await temporaryFolder();
  const at = (...parts: readonly string[]) => join(folder.path, ...parts);
  await writeTask(at("1-sound"), { id: "1", name: "Sound" });
  await mkdir(at("2-empty"));
  await writeTask(at("3-wrong"), { id: "3", nam: "Wrong" });
  await writeTask(at("4-other"), { id: "5", name: "Other" });
  await writeTask(at("6-broken"), {});
  await writeFile(at("6-broken", "manifest.json"), "{");
  await writeTask(at("7-outside"), { id: "7", name: "Out", files: { writes: ["../x"] } });
  const problems = await problemsOf(readTaskFolders(folder.path));
  expect(problems.map(({ path, problem }) => [path, problem])).toEqual([
    [at("2-empty", "manifest.json"), "does not exist"],
    [at("2-empty", "spec.md"), "does not exist"],
    [`${at("3-wrong", "manifest.json")}: nam`, "unknown key"],
    [`${at("3-wrong", "manifest.json")}: name`, "is required"],
    [at("4-other"), "holds task 5"],
    [at("6-broken", "manifest.json"), expect.stringContaining("is not JSON")],
    [
      `${at("7-outside", "manifest.json")}: files.writes[0]`,
      "must stay inside the repository and out of .git",
    ],
  ]);
});

test("follows no symbolic link, of a folder or of a file in it", async () => {
  await using folder = await temporaryFolder();
  await using outside = await temporaryFolder();
  const tasksDir = join(folder.path, "tasks");
  await mkdir(tasksDir);
  await writeTask(join(outside.path, "1-linked"), { id: "1", name: "Linked" });
  await symlink(join(outside.path, "1-linked"), join(tasksDir, "1-linked"));
  await mkdir(join(tasksDir, "2-inner"));
  await symlink("/etc/passwd", join(tasksDir, "2-inner/spec.md"));
  await symlink(
    join(outside.path, "1-linked/manifest.json"),
    join(tasksDir, "2-inner/manifest.json"),
  );
  const problems = await problemsOf(readTaskFolders(tasksDir));
  expect(problems.map(({ path, problem }) => [path, problem])).toEqual([
    [join(tasksDir, "1-linked"), "is a symbolic link, which is not followed"],
    [join(tasksDir, "2-inner/manifest.json"), "is a symbolic link, which is not followed"],
    [join(tasksDir, "2-inner/spec.md"), "is a symbolic link, which is not followed"],
  ]);
});

test("reads one folder, and answers null where it is gone", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "1-one");
  await writeTask(path, { id: "1", name: "One" });
  expect(await readTaskFolder(path)).toMatchObject({ path, manifest: { id: "1" }, spec: "Do it." });
  expect(await readTaskFolder(join(folder.path, "2-two"))).toBeNull();
  await rm(join(path, "spec.md"));
  expect(await problemsOf(readTaskFolder(path))).toMatchObject([{ path: join(path, "spec.md") }]);
});

test("a manifest is rewritten in place, and nothing else", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "1-one");
  await writeTask(path, { id: "1", name: "One" });
  const manifest = manifestSchema.parse({ id: "1", name: "Changed", files: { writes: ["a.txt"] } });
  await rewriteManifest(path, manifest);
  expect(await readTaskFolder(path)).toEqual({ path, manifest, spec: "Do it." });
  expect((await readdir(path)).toSorted()).toEqual(["manifest.json", "spec.md"]);
  expect(await readFile(join(path, "manifest.json"), "utf8")).toContain('\n  "name": "Changed",\n');
});

test("a manifest is not rewritten where the folder is gone or holds another task", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "1-one");
  const manifest = manifestSchema.parse({ id: "1", name: "One" });
  expect(await problemsOf(rewriteManifest(path, manifest))).toMatchObject([{ path }]);
  await writeTask(path, { id: "1-one", name: "Another" });
  const [problem] = await problemsOf(rewriteManifest(path, manifest));
  expect(problem?.problem).toBe("holds task 1-one by now, not 1");
});
