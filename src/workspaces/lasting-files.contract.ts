import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeLasting, value, type LastingMeans } from "../../test/support/lasting-rig.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { output } from "../../test/support/workspace-rig.ts";
import { DOWNLOAD_BYTES_MAX } from "./host-file.ts";

const refused = (reason: string) => ({ ok: false, failure: { details: { reason } } });

/** Files edited, listed and carried in and out. */
export function describeLastingFiles({ makeRig, seed }: LastingMeans): void {
  test("an edit replaces the only occurrence and nothing else", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    await workspace.writeFile("a.txt", "one $& two\nthree\n");
    expect(await workspace.editFile("a.txt", { from: "two\n", to: "$1 2\n" })).toMatchObject({
      ok: true,
    });
    expect(await output(workspace, "cat a.txt")).toBe("one $& $1 2\nthree");
  });

  test("an edit that is not clear is refused and changes nothing", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, seed());
    await workspace.writeFile("a.txt", "aaa");
    const edit = (from: string, path = "a.txt") => workspace.editFile(path, { from, to: "x" });
    expect(await edit("b")).toMatchObject(refused("no-match"));
    expect(await edit("")).toMatchObject(refused("no-match"));
    expect(await edit("aa")).toMatchObject({
      ok: false,
      failure: { details: { reason: "several-matches", times: 2 } },
    });
    expect(await edit("a", "missing.txt")).toMatchObject(refused("missing"));
    expect(await edit("a", "/etc/hostname")).toMatchObject(refused("outside"));
    expect(await output(workspace, "cat a.txt")).toBe("aaa");
  });

  test("an edit keeps what is no text, and the right to run it", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    await workspace.writeFile("tool", Buffer.from([255, 65, 0, 254]));
    await output(workspace, "chmod 755 tool");
    expect(await workspace.editFile("tool", { from: "A", to: "B" })).toMatchObject({ ok: true });
    const read = await workspace.readFile("tool", { bytesMax: 10 });
    expect(read).toEqual({ ok: true, value: Buffer.from([255, 66, 0, 254]) });
    expect(await output(workspace, "stat -c %a tool")).toBe("755");
  });

  test("a folder is listed, one level of it", async () => {
    await using rig = await makeRig();
    const workspace = await makeLasting(rig, null);
    await output(workspace, "mkdir -p dir/below; ln -s /etc/passwd dir/link; mkfifo dir/pipe");
    await output(workspace, "printf 12345 > dir/file; chmod 640 dir/file; touch 'dir/a\nb'");
    const entries = value(await workspace.listFiles("dir"));
    expect(entries.map(({ name, kind }) => [name, kind])).toEqual([
      ["a\nb", "file"],
      ["below", "folder"],
      ["file", "file"],
      ["link", "link"],
      ["pipe", "other"],
    ]);
    expect(entries[2]).toMatchObject({ bytes: 5, mode: 0o640 });
    expect(entries[2]?.modifiedMs).toBeGreaterThan(1_600_000_000_000);
    expect(await workspace.listFiles("missing")).toMatchObject(refused("missing"));
    expect(await workspace.listFiles("dir/file")).toMatchObject({ ok: false });
    expect(await workspace.listFiles("/etc")).toMatchObject(refused("outside"));
  });

  test("files of any size go in and out as they are, with their hash", async () => {
    await using rig = await makeRig();
    await using host = await temporaryFolder();
    const workspace = await makeLasting(rig, null);
    const content = Buffer.alloc(20_000_001, "mycelium ");
    const sha256 = createHash("sha256").update(content).digest("hex");
    const [source, target] = [join(host.path, "source"), join(host.path, "target")];
    await writeFile(source, content);
    const bytes = content.length;
    expect(await workspace.upload(source, "in/big")).toEqual({
      ok: true,
      value: { bytes, sha256 },
    });
    expect(await output(workspace, "sha256sum < in/big | cut -d' ' -f1")).toBe(sha256);
    expect(await output(workspace, "stat -c %U in/big")).toBe(await output(workspace, "id -un"));
    expect(await workspace.download("in/big", target)).toEqual({
      ok: true,
      value: { bytes, sha256 },
    });
    expect((await readFile(target)).equals(content)).toBe(true);
  });

  test("an empty file goes in and out, over a longer one", async () => {
    await using rig = await makeRig();
    await using host = await temporaryFolder();
    const workspace = await makeLasting(rig, null);
    const [source, target] = [join(host.path, "source"), join(host.path, "target")];
    await writeFile(source, "");
    await writeFile(target, "what was there");
    await workspace.writeFile("file", "longer");
    expect(await workspace.upload(source, "file")).toMatchObject({ ok: true, value: { bytes: 0 } });
    expect(await workspace.download("file", target)).toMatchObject({ ok: true });
    expect(await readFile(target, "utf8")).toBe("");
  });

  test("what cannot be carried leaves what was there", async () => {
    await using rig = await makeRig();
    await using host = await temporaryFolder();
    const workspace = await makeLasting(rig, null);
    const target = join(host.path, "target");
    await writeFile(target, "kept");
    await output(workspace, "ln -s /etc/passwd link; mkdir dir");
    expect(await workspace.download("missing", target)).toMatchObject(refused("missing"));
    expect(await workspace.download("link", target)).toMatchObject(refused("outside"));
    expect(await workspace.download("dir", target)).toMatchObject({ ok: false });
    await output(workspace, `truncate -s ${DOWNLOAD_BYTES_MAX + 1} huge`);
    expect(await workspace.download("huge", target)).toMatchObject(refused("too-large"));
    expect(await workspace.upload(target, "link")).toMatchObject(refused("outside"));
    for (const path of ["/etc/passwd", "../../../../../../etc/passwd"]) {
      expect(await workspace.upload(target, path)).toMatchObject(refused("outside"));
      expect(await workspace.download(path, target)).toMatchObject(refused("outside"));
      expect(await workspace.listFiles(path)).toMatchObject(refused("outside"));
    }
    expect(await workspace.upload(join(host.path, "none"), "x")).toMatchObject({ ok: false });
    expect(await workspace.upload(host.path, "x")).toMatchObject({ ok: false });
    expect(await readFile(target, "utf8")).toBe("kept");
  });
}
