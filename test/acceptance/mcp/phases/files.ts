import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { sh, type Stage, type Steps } from "../driver.ts";

export async function files(stage: Stage, { step, phase }: Steps): Promise<void> {
  const { mcp, primary, at } = stage;
  const on = { workspace_id: primary };
  phase("3 files");
  await step("file_write makes a file and its folders", async () => {
    const path = at("/workspace/notes/deep/a.txt");
    const written = await mcp.done("file_write", { ...on, path, content: "one\ntwo\n" });
    expect(written).toMatchObject({ path, bytes: 8 });
    expect(await sh(mcp, primary, at("cat /workspace/notes/deep/a.txt"))).toBe("one\ntwo\n");
  });
  await step("file_write gives a mode", async () => {
    const path = at("/workspace/notes/run.sh");
    await mcp.done("file_write", { ...on, path, content: "#!/bin/sh\necho ran\n", mode: "0755" });
    expect(await sh(mcp, primary, path)).toBe("ran\n");
  });
  await step("file_read answers what is there", async () => {
    const read = await mcp.done("file_read", { ...on, path: at("/workspace/notes/deep/a.txt") });
    expect(read).toMatchObject({ content: "one\ntwo\n", total_bytes: 8, truncated: false });
  });
  await step("file_read reads a part", async () => {
    const input = { ...on, path: at("/workspace/notes/deep/a.txt"), offset: 4, limit: 2 };
    expect(await mcp.done("file_read", input)).toMatchObject({ content: "tw", truncated: true });
  });
  await step("bytes that are no text come and go as base64", async () => {
    const path = at("/workspace/notes/bytes");
    const content = Buffer.from([0, 255, 1, 254]).toString("base64");
    await mcp.done("file_write", { ...on, path, content, encoding: "base64" });
    const read = await mcp.done("file_read", { ...on, path, encoding: "base64" });
    expect(read).toMatchObject({ content, bytes: 4 });
  });
  await step("file_edit replaces the only occurrence", async () => {
    const path = at("/workspace/notes/deep/a.txt");
    await mcp.done("file_edit", { ...on, path, old_string: "two", new_string: "three $& \\1" });
    expect(await mcp.done("file_read", { ...on, path })).toMatchObject({
      content: "one\nthree $& \\1\n",
    });
  });
  await step("file_edit refuses where there are several", async () => {
    const path = at("/workspace/notes/twice.txt");
    await mcp.done("file_write", { ...on, path, content: "x\nx\n" });
    const said = await mcp.refused("file_edit", { ...on, path, old_string: "x", new_string: "y" });
    expect(said).toMatch(/more than once|2 times|several|twice/);
    expect(await mcp.done("file_read", { ...on, path })).toMatchObject({ content: "x\nx\n" });
  });
  await step("file_edit refuses where there is none", async () => {
    const path = at("/workspace/notes/twice.txt");
    await mcp.refused("file_edit", { ...on, path, old_string: "nowhere", new_string: "y" });
  });
  await step("file_list shows one level", async () => {
    const listed = await mcp.done("file_list", { ...on, path: at("/workspace/notes") });
    const entries = listed["entries"] as readonly { readonly name: string }[];
    const names = entries.map(({ name }) => name).toSorted();
    expect(names).toEqual(["bytes", "deep", "run.sh", "twice.txt"]);
    expect(entries).toContainEqual(
      expect.objectContaining({ name: "run.sh", kind: "file", size: 19, permissions: "0755" }),
    );
  });
  await step("a file that is not there is refused", async () => {
    const said = await mcp.refused("file_read", { ...on, path: at("/workspace/nothing-here") });
    expect(said).toContain("nothing-here");
  });
  await step("a path that leaves the workspace is refused", async () => {
    const path = "../../../../../../../../etc/passwd";
    expect(await mcp.refused("file_read", { ...on, path })).not.toContain("root:");
  });
  await step("a link that leaves the workspace is refused", async () => {
    await sh(mcp, primary, at("ln -s /etc/passwd /workspace/notes/link"));
    const path = at("/workspace/notes/link");
    expect(await mcp.refused("file_read", { ...on, path })).not.toContain("root:");
    await mcp.refused("file_write", { ...on, path, content: "x" });
  });
  await transfers(stage, step);
}

const SIZE = 3_000_000;

async function transfers({ mcp, primary, sandbox, at }: Stage, step: Steps["step"]): Promise<void> {
  const folder = join(sandbox.home, "transfer");
  const bytes = Buffer.alloc(SIZE, "0123456789");
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const move = { workspace_id: primary, guest_path: at("/workspace/big.bin") };
  await step("file_transfer uploads a file of any size, with its hash", async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "in.bin"), bytes);
    const input = { ...move, direction: "upload", host_path: "in.bin" };
    expect(await mcp.done("file_transfer", input)).toMatchObject({ bytes: SIZE, sha256 });
  });
  await step("file_transfer downloads it again", async () => {
    const input = { ...move, direction: "download", host_path: "out/again.bin" };
    mkdirSync(join(folder, "out"), { recursive: true });
    expect(await mcp.done("file_transfer", input)).toMatchObject({ bytes: SIZE, sha256 });
    expect(readFileSync(join(folder, "out/again.bin")).equals(bytes)).toBe(true);
  });
  await step("a host path outside the transfer folder is refused", async () => {
    for (const path of ["../mycelium.db", "/etc/passwd", "..", "."]) {
      const input = { ...move, direction: "upload", host_path: path };
      expect(await mcp.refused("file_transfer", input)).toContain("outside the transfer folder");
    }
  });
  await step("a link out of the transfer folder is refused", async () => {
    symlinkSync("/etc", join(folder, "etc"));
    symlinkSync(join(sandbox.home, "not-there"), join(folder, "dangling"));
    const up = { ...move, direction: "upload", host_path: "etc/passwd" };
    expect(await mcp.refused("file_transfer", up)).toContain("outside the transfer folder");
    await mcp.refused("file_transfer", { ...move, direction: "download", host_path: "dangling" });
  });
}
