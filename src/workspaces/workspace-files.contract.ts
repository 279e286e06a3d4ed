import { expect, test } from "vitest";
import { makeWorkspace, output, type ContractMeans } from "../../test/support/workspace-rig.ts";

const BYTES_MAX = 1000;

const refused = (reason: string) => ({
  ok: false,
  failure: { code: "workspace-failed", details: { reason } },
});

/** Files go in and out, and no path leads out of the workspace. */
export function describeFiles({ makeRig, seed }: ContractMeans): void {
  test("files are written with their folders, overwritten whole, and read", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    expect(await workspace.writeFile("a/b/c.txt", "a longer text")).toMatchObject({ ok: true });
    expect(await workspace.writeFile("a/b/c.txt", Buffer.from([0, 255]))).toMatchObject({
      ok: true,
    });
    const read = await workspace.readFile("a/b/c.txt", { bytesMax: 2 });
    expect(read).toEqual({ ok: true, value: Buffer.from([0, 255]) });
    expect(await output(workspace, "wc -c < a/b/c.txt")).toBe("2");
  });

  test("the context lies beside the repository, so that it is never committed", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const path = `${workspace.contextDir}/spec.md`;
    expect(await workspace.writeFile(path, "spec")).toMatchObject({ ok: true });
    expect(await output(workspace, `cat ${path}; git status --porcelain`)).toBe("spec");
  });

  test("a file that is missing says so", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const read = await workspace.readFile("no/such", { bytesMax: BYTES_MAX });
    expect(read).toMatchObject(refused("missing"));
  });

  test("a file that is too large is not read", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await workspace.writeFile("large", "x".repeat(BYTES_MAX + 1));
    const read = await workspace.readFile("large", { bytesMax: BYTES_MAX });
    expect(read).toMatchObject(refused("too-large"));
  });

  test.each(["../../../outside", "/etc/passwd", "/", "src/../../../../etc/passwd", "a\0b"])(
    "the path %j is refused",
    async (path) => {
      await using rig = await makeRig();
      const workspace = await makeWorkspace(rig, seed());
      expect(await workspace.readFile(path, { bytesMax: BYTES_MAX })).toMatchObject(
        refused("outside"),
      );
      expect(await workspace.writeFile(path, "x")).toMatchObject(refused("outside"));
    },
  );

  test("symbolic links that lead out are followed neither to read nor to write", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await output(workspace, "ln -s /etc/passwd file; ln -s / folder; ln -s ../../../.. up");
    await output(workspace, "ln -s /no/such/file nowhere; ln -s nowhere chain");
    for (const path of ["file", "folder/etc/passwd", "up/outside", "folder/new/file"]) {
      expect(await workspace.writeFile(path, "x")).toMatchObject(refused("outside"));
    }
    for (const path of ["file", "folder/etc/passwd"]) {
      const read = await workspace.readFile(path, { bytesMax: 1_000_000 });
      expect(read).toMatchObject(refused("outside"));
    }
    for (const path of ["nowhere", "chain", "nowhere/file"]) {
      expect(await workspace.writeFile(path, "x")).toMatchObject({ ok: false });
    }
  });

  test("symbolic links that stay inside are followed", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await output(workspace, "ln -s src lib");
    expect(await workspace.writeFile("lib/new.js", "1")).toMatchObject({ ok: true });
    expect(await workspace.writeFile("link.js", "2")).toMatchObject({ ok: true });
    expect(await output(workspace, "cat src/new.js src/main.js; readlink link.js")).toBe(
      "12src/main.js",
    );
  });

  test("what is no file is refused without waiting for it", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await output(workspace, "mkfifo pipe");
    for (const path of ["pipe", "src"]) {
      const read = await workspace.readFile(path, { bytesMax: BYTES_MAX });
      expect(read).toMatchObject(refused("not-a-file"));
      expect(await workspace.writeFile(path, "x")).toMatchObject(refused("not-a-file"));
    }
  });
}
