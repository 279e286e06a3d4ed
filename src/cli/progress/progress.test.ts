import { expect, test } from "vitest";
import { captureTerminal } from "../../../test/support/captured-terminal.ts";
import type { RecordedEvent } from "../../domain/event.ts";
import { makeStyle } from "../render/style.ts";
import { openProgress } from "./progress.ts";
import { advance, NO_PROGRESS, standing, type ProgressState } from "./progress-state.ts";
import { statusLine } from "./status-line.ts";

function event(type: RecordedEvent["type"], task_id: string | null, payload = {}): RecordedEvent {
  const subject = task_id === null ? {} : { task_id, attempt: 1 };
  const ts = "2026-01-01T00:00:00.000Z";
  return { v: 1, seq: 1, ts, run_id: "r", type, ...subject, payload };
}

const COMMIT = "a".repeat(40);

const STORY: readonly RecordedEvent[] = [
  event("run.started", null, { tasks: ["1", "2", "3"], branch: "main", base: COMMIT }),
  event("attempt.started", "1", { base: COMMIT }),
  event("agent.started", "1"),
  event("attempt.started", "2", { base: COMMIT }),
  event("turn.completed", "1", { usage: { input_tokens: 1_000, output_tokens: 234 } }),
  event("agent.ended", "1", { reason: "completed" }),
];

function stateAfter(events: readonly RecordedEvent[], start: ProgressState = NO_PROGRESS) {
  return events.reduce((state, one, at) => advance(state, one, at * 1_000), start);
}

const lineOf = (state: ProgressState, lengthMax = 200) =>
  statusLine(state, { startedMs: 0, nowMs: 65_000 }, lengthMax);

test("the status line has what is done, what runs since when, and what was used", () => {
  expect(lineOf(stateAfter(STORY))).toBe(
    "0/3 done, 0 landed | 1 is checked 1 min 04 s, 2 prepares 1 min 02 s | 1,234 tokens | 1 min 05 s",
  );
});

test("a task goes from work over landing to done", () => {
  const validated = stateAfter([
    ...STORY,
    event("attempt.ended", "1"),
    event("task.validated", "1"),
    event("landing.proposed", null, { tasks: ["1"] }),
  ]);
  expect(lineOf(validated)).toContain("0/3 done, 0 landed | 1 to land | 2 prepares");
  expect(lineOf(validated)).toContain("proving 1 |");
  const landed = stateAfter(
    [event("landing.landed", null), event("task.completed", "1", { commit: COMMIT })],
    validated,
  );
  expect(lineOf(landed)).toContain("1/3 done, 1 landed | 2 prepares");
  expect(lineOf(landed)).not.toContain("proving");
});

test("a task that fails is done without having landed, until it is reopened", () => {
  const failed = stateAfter([...STORY, event("attempt.ended", "1"), event("task.failed", "1")]);
  expect(lineOf(failed)).toContain("1/3 done, 0 landed");
  expect(lineOf(stateAfter([event("task.reopened", "1")], failed))).toContain("0/3 done");
});

test("a run that is gone on with begins where it stands", () => {
  const task = (id: string, state: string, landed_commit: string | null = null) => {
    return { id, state, landed_commit };
  };
  const tasks = [task("1", "complete", COMMIT), task("2", "complete"), task("3", "validated")];
  const state = standing({ tasks: [...tasks, task("4", "failed")], usage: { tokens: 7 } });
  expect(lineOf(state)).toBe("2/4 done, 1 landed | 1 to land | 7 tokens | 1 min 05 s");
});

test("the line is never longer than the terminal is wide, however many tasks run", () => {
  const many = Array.from({ length: 50 }, (_, at) => event("agent.started", `task-${at}`));
  const state = stateAfter([...STORY, ...many]);
  expect(lineOf(state)).toContain(" +48 |");
  expect(lineOf(state, 79).length).toBeLessThanOrEqual(79);
});

function open(isTerminal: boolean, verbose = false) {
  const terminal = captureTerminal({ isTerminal, columns: 60 });
  const globals = { config: undefined, home: undefined, json: false, color: false, verbose };
  return { terminal, progress: openProgress({ terminal, errorStyle: makeStyle(false), globals }) };
}

const FINISHED = [
  ...STORY,
  event("gate.decided", "1", { gate: "doctor", answer: "pass", reason: "", duration_ms: 10 }),
  event("task.failed", "1", { reason: "agent-failed", message: "it\u001b[2J broke" }),
];

test("where there is no terminal, finished things are plain lines on stderr", async () => {
  const { terminal, progress } = open(false);
  FINISHED.forEach(progress.listeners.onEvent);
  await progress.close();
  expect(terminal.printed).toEqual({
    stdout: "",
    stderr:
      "  0:00  run started: 3 tasks on main at aaaaaaaaaa, agent undefined, undefined at once\n" +
      "  0:00  1: failed (agent-failed): it broke\n",
  });
});

test("-v tells the small steps, too", async () => {
  const { terminal, progress } = open(false, true);
  FINISHED.forEach(progress.listeners.onEvent);
  await progress.close();
  expect(terminal.printed.stderr).toContain("1: doctor: pass in 0.0 s");
});

test("on a terminal the status line is rewritten below them and gone at the end", async () => {
  const { terminal, progress } = open(true);
  FINISHED.forEach(progress.listeners.onEvent);
  await progress.close();
  const { stderr } = terminal.printed;
  expect(stderr).toContain("  0:00  1: failed (agent-failed): it broke\n");
  expect(stderr).toContain("\r\u001b[2K1/3 done, 0 landed | 2 prepares");
  expect(stderr.endsWith("\r\u001b[2K")).toBe(true);
  // What a terminal shows in the end: each line as it was after the last erasure in it.
  const shown = stderr.split("\n").map((line) => line.split("\r\u001b[2K").at(-1));
  expect(shown.filter((line) => line?.includes("done,"))).toEqual([]);
});
