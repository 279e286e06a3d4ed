import { expect, test } from "vitest";
import { agentRig, textOf } from "../../test/support/agent-rig.ts";
import { NO_USAGE } from "../domain/usage.ts";
import { createEchoAgent } from "./echo.ts";

test("the echo says the spec, uses nothing and changes nothing", async () => {
  await using rig = await agentRig();
  const spec = "Größe 🎉\n".repeat(3_000);
  const events = await rig.run(createEchoAgent(), rig.task({ spec }));
  expect(textOf(events, "stdout")).toBe(spec);
  expect(events.slice(-2)).toMatchObject([
    { kind: "usage", usage: NO_USAGE },
    { kind: "ended", reason: "completed" },
  ]);
  const { stdout } = await rig.workspace.exec({
    command: "git status --porcelain",
    timeoutMs: 60_000,
  });
  expect(stdout.text).toBe("");
});

test("an aborted echo says so", async () => {
  await using rig = await agentRig();
  const events = await rig.run(createEchoAgent(), rig.task({ signal: AbortSignal.abort() }));
  expect(events.at(-1)).toMatchObject({ kind: "ended", reason: "aborted" });
  expect(textOf(events, "stdout")).toBe("");
});
