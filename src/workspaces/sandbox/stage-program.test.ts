import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { describeWithSandboxes } from "../../../test/support/needs-sandbox.ts";
import { runProcess } from "../../lib/process.ts";
import { HOST_PATH } from "./host-path.ts";
import { outsideUser } from "./outside-user.ts";
import { bind, memory, seal, stagedCommand, type StageStep } from "./stage-program.ts";

async function stage(steps: readonly StageStep[], script: string) {
  const { ending, stdout, stderr } = await runProcess({
    command: stagedCommand(steps, ["/bin/sh", "-c", script]),
    cwd: "/",
    env: { PATH: HOST_PATH },
    timeoutMs: 60_000,
    outputBytesMax: 10_000,
  });
  return { ending, said: stdout.bytes.toString(), complaint: stderr.bytes.toString() };
}

const STAGE = memory("/run", "mode=755,size=1m");

await describeWithSandboxes("the program that sets the stage", () => {
  test("does its steps where nobody else sees them, and becomes the command", async () => {
    const text = "a line\nand 'another', $HOME \\ é\n";
    const steps: StageStep[] = [
      STAGE,
      ["folder", "/run/stage-test"],
      ["folder", "/run/stage-test"],
      ["write", text, "/run/stage-test/written"],
      ["write", "", "/run/stage-test/empty"],
      ["copy", "/run/stage-test/written", "/run/stage-test/copied"],
      ["copy", "/run/stage-test/missing", "/run/stage-test/nothing"],
      ["link", "copied", "/run/stage-test/link"],
      bind("/run/stage-test/written", "/run/stage-test/empty"),
    ];
    const look = "cd /run/stage-test; ls; cat link empty; readlink link";
    const { ending, said, complaint } = await stage(steps, look);
    expect(complaint).toBe("");
    expect(ending).toEqual({ kind: "exited", code: 0 });
    expect(said).toBe(`copied\nempty\nlink\nwritten\n${text}${text}copied\n`);
    expect(existsSync("/run/stage-test")).toBe(false);
  });

  test("gives up root and all its groups before the command", async () => {
    const { isRoot, uid, gid } = outsideUser();
    const { said } = await stage([], "grep -E '^(Uid|Gid|Groups|CapEff|CapPrm)' /proc/self/status");
    const lines = said.split("\n").map((line) => line.split(/\s+/).filter((word) => word !== ""));
    // Without root it is the root of a user namespace, which bubblewrap needs.
    if (!isRoot) return expect(lines[0]).toEqual(["Uid:", "0", "0", "0", "0"]);
    const all = (id: number): string[] => Array.from({ length: 4 }, () => String(id));
    expect(lines.slice(0, 5)).toEqual([
      ["Uid:", ...all(uid)],
      ["Gid:", ...all(gid)],
      ["Groups:"],
      ["CapPrm:", "0000000000000000"],
      ["CapEff:", "0000000000000000"],
    ]);
  });

  test("does not begin the command where a step fails, and says which", async () => {
    const missing = await stage([STAGE, bind("/missing", "/run")], "echo ran");
    expect(missing).toEqual({
      ending: { kind: "exited", code: 2 },
      said: "",
      complaint: "cannot mount /run: No such file or directory\n",
    });
    const sealed = await stage([STAGE, seal("/run"), ["write", "", "/run/x"]], "echo ran");
    expect(sealed.said).toBe("");
    expect(sealed.complaint).toBe("/run/x: Read-only file system\n");
  });
});
