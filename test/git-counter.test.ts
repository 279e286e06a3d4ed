import { join } from "node:path";
import { expect, test } from "vitest";
import { makeGitCounter } from "../bench/git-counter.ts";
import { runProcess } from "../src/lib/process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const PATH = process.env["PATH"] ?? "/usr/bin:/bin";

async function shell(command: string, path: string, cwd: string) {
  const { ending, stdout } = await runProcess({
    command: ["/bin/sh", "-c", command],
    cwd,
    env: { PATH: path, HOME: cwd },
    timeoutMs: 30_000,
    outputBytesMax: 65_536,
  });
  return { ending, said: stdout.bytes.toString() };
}

test("the counting git answers as the real one and counts each process that was started", async () => {
  await using folder = await temporaryFolder();
  const counter = await makeGitCounter(join(folder.path, "it's a counter"), PATH);
  expect(await counter.count()).toBe(0);

  const real = await shell("git --version", PATH, folder.path);
  const counted = await shell("git --version", counter.path, folder.path);
  expect(counted.said).toBe(real.said);
  expect(await counter.count()).toBe(1);

  const failing = await shell("git rev-parse --verify 'no such thing'", counter.path, folder.path);
  expect(failing.ending).toEqual({ kind: "exited", code: 128 });
  expect(await counter.count()).toBe(2);

  await counter.reset();
  expect(await counter.count()).toBe(0);
});

test("it loses none of those that run at the same time, and leaves out git's own helpers", async () => {
  await using folder = await temporaryFolder();
  const counter = await makeGitCounter(join(folder.path, "counter"), PATH);
  await shell(
    "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do git --version & done; wait",
    counter.path,
    folder.path,
  );
  expect(await counter.count()).toBe(12);

  await counter.reset();
  await shell("git init -q one && git clone -q one two", counter.path, folder.path);
  expect(await counter.count()).toBe(2);
});

test("a PATH without git is refused", async () => {
  await using folder = await temporaryFolder();
  await expect(makeGitCounter(folder.path, folder.path)).rejects.toThrow("no git");
});
