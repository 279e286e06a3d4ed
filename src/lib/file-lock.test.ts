import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { tryLockFile } from "./file-lock.ts";

test("has one holder at a time, and is free again when that one lets go", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "lock");
  const first = tryLockFile(path);
  expect(first).not.toBeNull();
  expect(tryLockFile(path)).toBeNull();
  first?.[Symbol.dispose]();
  using second = tryLockFile(path);
  expect(second).not.toBeNull();
});

test("a holder that is killed holds it no longer", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "lock");
  const module = JSON.stringify(join(import.meta.dirname, "file-lock.ts"));
  const script = `import { tryLockFile } from ${module};
    globalThis.lock = tryLockFile(${JSON.stringify(path)});
    console.log(globalThis.lock === null ? "refused" : "held");
    setInterval(() => globalThis.lock, 1000);`;
  const holder = spawn(process.execPath, ["--input-type=module", "--eval", script]);
  try {
    const [said] = (await once(holder.stdout, "data")) as [Buffer];
    expect(said.toString().trim()).toBe("held");
    expect(tryLockFile(path)).toBeNull();
  } finally {
    holder.kill("SIGKILL");
    await once(holder, "exit");
  }
  using lock = tryLockFile(path);
  expect(lock).not.toBeNull();
});
