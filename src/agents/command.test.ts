import { expect, test } from "vitest";
import { agentRig, textOf } from "../../test/support/agent-rig.ts";
import { isRunning, stubborn } from "../../test/support/workspace-rig.ts";
import type { Agent } from "./agent.ts";
import { createCommandAgent } from "./command.ts";
import { QUEUED_TEXT_BYTES_MAX } from "./event-queue.ts";

const REPORT = '{"type":"turn.completed","usage":{"input_tokens":5,"output_tokens":2}}';

function command(line: string, env: Record<string, string> = {}): Agent {
  return createCommandAgent({ name: "tool", command: line, env, reportsUsage: true });
}

test("a command works in the repository and ends completed", async () => {
  await using rig = await agentRig();
  const events = await rig.run(command("echo hello; echo oops >&2; echo x > new.txt"), rig.task());
  expect(events.at(0)).toEqual({ kind: "started", session: null });
  expect(textOf(events, "stdout")).toBe("hello\n");
  expect(textOf(events, "stderr")).toBe("oops\n");
  expect(events.at(-1)).toMatchObject({ kind: "ended", reason: "completed", exitCode: 0 });
  expect(await rig.read("new.txt")).toBe("x\n");
});

test("the spec comes on the input and as a file, and the rest in the environment", async () => {
  await using rig = await agentRig();
  const task = rig.task();
  const events = await rig.run(
    command('cat; cat "$MYCELIUM_SPEC_FILE"; env', { COLOUR: "red", MYCELIUM_RUN_ID: "forged" }),
    task,
  );
  const said = textOf(events, "stdout");
  expect(said.startsWith("Do it.\nDo it.\n")).toBe(true);
  expect(said.split("\n")).toEqual(
    expect.arrayContaining([
      "COLOUR=red",
      "MYCELIUM_RUN_ID=run-1",
      "MYCELIUM_TASK_ID=7",
      "MYCELIUM_TASK_NAME=Seventh task",
      "MYCELIUM_ATTEMPT=2",
      `MYCELIUM_BASE=${task.base}`,
      `MYCELIUM_WORKSPACE=${rig.workspace.repositoryDir}`,
      `MYCELIUM_SPEC_FILE=${task.specFile}`,
      `MYCELIUM_MANIFEST_FILE=${task.manifestFile}`,
    ]),
  );
  expect(said).not.toContain("MYCELIUM_FEEDBACK_FILE");
});

test("feedback comes before the spec, under a heading of its own, and as a file", async () => {
  await using rig = await agentRig();
  const feedbackFile = `${rig.workspace.contextDir}/feedback.md`;
  const task = rig.task({ feedback: "The tests failed.\n", feedbackFile });
  const events = await rig.run(command('cat; echo "$MYCELIUM_FEEDBACK_FILE"'), task);
  expect(textOf(events, "stdout")).toBe(
    "# Why the last try was not accepted\n\nThe tests failed.\n\n" +
      `# The task\n\nDo it.\n${feedbackFile}\n`,
  );
});

test("lines of usage become events of what was used since the last", async () => {
  await using rig = await agentRig();
  const events = await rig.run(
    command(`echo a; echo '${REPORT}'; echo b; echo '${REPORT}'`),
    rig.task(),
  );
  const usage = { input_tokens: 5, output_tokens: 2, cost_usd: null };
  const kinds = events.filter(({ kind }) => kind === "usage");
  expect(kinds).toMatchObject([{ usage }, { usage }]);
  expect(textOf(events, "stdout")).toBe("a\nb\n");
});

test("usage that cannot be counted stops the agent", async () => {
  await using rig = await agentRig();
  const broken = REPORT.replace("5", "-5");
  const events = await rig.run(command(`echo '${broken}'; sleep 60; touch late`), rig.task());
  expect(events.at(-1)).toMatchObject({
    kind: "ended",
    reason: "protocol-broken",
    message: expect.stringContaining("input_tokens"),
  });
  expect(await rig.read("late")).toBeNull();
});

test.each([
  ["exit 3", "failed", 3, "exit code 3: sorry"],
  ["exit 127", "program-missing", 127, "exit code 127: sorry"],
  ["exit 126", "program-missing", 126, "exit code 126: sorry"],
  ["kill -KILL $$", "failed", null, "ended by SIGKILL: sorry"],
])("%s ends as %s", async (how, reason, exitCode, message) => {
  await using rig = await agentRig();
  const events = await rig.run(command(`echo sorry >&2; ${how}`), rig.task());
  expect(events.at(-1)).toEqual({ kind: "ended", reason, exitCode, message });
});

test("a program that is not there is missing", async () => {
  await using rig = await agentRig();
  const events = await rig.run(command("no-such-agent --go"), rig.task());
  expect(events.at(-1)).toMatchObject({
    reason: "program-missing",
    message: expect.stringContaining("no-such-agent"),
  });
});

test.concurrent("at the timeout nothing of the agent is left", async () => {
  await using rig = await agentRig();
  const events = await rig.run(command(stubborn("daemon")), rig.task({ timeoutMs: 500 }));
  expect(events.at(-1)).toMatchObject({ kind: "ended", reason: "timed-out" });
  expect(await isRunning(rig.workspace, "daemon")).toBe(false);
});

test.concurrent("an abort in the middle ends it, and what came before is told", async () => {
  await using rig = await agentRig();
  const stop = new AbortController();
  const task = rig.task({ signal: stop.signal });
  const events = [];
  for await (const event of command(`echo ready; ${stubborn("daemon")}`).work(task)) {
    events.push(event);
    if (event.kind === "text") stop.abort();
  }
  expect(textOf(events, "stdout")).toBe("ready\n");
  expect(events.at(-1)).toMatchObject({ kind: "ended", reason: "aborted" });
  expect(await isRunning(rig.workspace, "daemon")).toBe(false);
});

test.concurrent("a reader that leaves early leaves nothing running", async () => {
  await using rig = await agentRig();
  for await (const event of command(`echo ready; ${stubborn("daemon")}`).work(rig.task())) {
    if (event.kind === "text") break;
  }
  expect(await isRunning(rig.workspace, "daemon")).toBe(false);
});

test("a slow reader stalls no agent: what does not fit is dropped and counted", async () => {
  await using rig = await agentRig();
  const flood = `yes flood | head -c 18000000; echo '${REPORT}'; touch done`;
  const events = command(flood).work(rig.task())[Symbol.asyncIterator]();
  await events.next();
  const first = await events.next();
  await expect.poll(() => rig.read("done"), { timeout: 30_000 }).toBe("");
  const rest = [];
  for (let next = await events.next(); next.done !== true; next = await events.next()) {
    rest.push(next.value);
  }
  const said =
    textOf(rest, "stdout").length + (first.value?.kind === "text" ? first.value.text.length : 0);
  expect(said).toBeLessThan(4 * QUEUED_TEXT_BYTES_MAX);
  const notes = [...textOf(rest, "stderr").matchAll(/\[(\d+) bytes of output were dropped/g)];
  const dropped = notes.reduce((sum, [, bytes]) => sum + Number(bytes), 0);
  expect(said + dropped).toBe(18_000_000);
  expect(rest.filter(({ kind }) => kind === "usage")).toHaveLength(1);
  expect(rest.at(-1)).toMatchObject({ kind: "ended", reason: "completed" });
});
