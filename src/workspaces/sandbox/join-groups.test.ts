import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { runProcess } from "../../lib/process.ts";
import { joinGroups } from "./join-groups.ts";

async function run(groups: readonly string[]) {
  const { ending, stdout, stderr } = await runProcess({
    command: [...joinGroups(groups), "echo", "it runs"],
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    timeoutMs: 30_000,
    outputBytesMax: 10_000,
  });
  return { ending, said: stdout.bytes.toString(), complaint: stderr.bytes.toString() };
}

test("a command runs once it is in all of its groups", async () => {
  await using folder = await temporaryFolder();
  const groups = ["one", "two"].map((name) => join(folder.path, name));
  for (const group of groups) await writeFile(group, "");
  expect(await run(groups)).toEqual({
    ending: { kind: "exited", code: 0 },
    said: "it runs\n",
    complaint: "",
  });
  for (const group of groups) expect(await readFile(group, "utf8")).toBe("0\n");
  expect(await run([])).toMatchObject({ said: "it runs\n" });
});

test("one whose group is gone was killed before it began", async () => {
  await using folder = await temporaryFolder();
  expect(await run([join(folder.path, "gone", "cgroup.procs")])).toEqual({
    ending: { kind: "signalled", signal: "SIGKILL" },
    said: "",
    complaint: "",
  });
});

test("one that cannot join is not started, and says why", async () => {
  await using folder = await temporaryFolder();
  const group = join(folder.path, "not-a-file");
  await mkdir(group);
  expect(await run([group])).toEqual({
    ending: { kind: "exited", code: 126 },
    said: "",
    complaint: `cannot join the control group ${group}\n`,
  });
});
