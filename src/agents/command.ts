import { unreachable } from "../domain/failure.ts";
import { withoutFirstWord } from "../lib/end-of-text.ts";
import type { ExecResult, OutputListener } from "../workspaces/workspace.ts";
import type { Agent, AgentEnding, AgentEvent, AgentTask } from "./agent.ts";
import { makeEventQueue } from "./event-queue.ts";
import { makeOutputReader } from "./output-reader.ts";

export interface CommandAgentOptions {
  readonly name: string;
  /** A command line for `/bin/sh -c`, run in the repository. */
  readonly command: string;
  /** Added to the workspace's environment; `MYCELIUM_…` of the task stand above it. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether it prints `turn.completed` lines with its usage. */
  readonly reportsUsage: boolean;
}

type Ended = Extract<AgentEvent, { kind: "ended" }>;

/** What the shell answers where it found no program, or one that it may not run. */
const SHELL_FOUND_NOTHING = new Set([126, 127]);
/** How much of the output an ending's message may quote. */
const QUOTED_BYTES_MAX = 2_048;

/**
 * Any command as an agent. It gets the task on its input, in files and in its environment, and says
 * what it likes on its output; lines that are `{"type": "turn.completed", "usage": {…}}` tell what
 * it used since the last one. Exit code 0 is `completed`.
 */
export function createCommandAgent(options: CommandAgentOptions): Agent {
  return {
    name: options.name,
    reportsUsage: options.reportsUsage,
    work: (task) => work(options, task),
  };
}

async function* work(options: CommandAgentOptions, task: AgentTask): AsyncGenerator<AgentEvent> {
  yield { kind: "started", session: null };
  const queue = makeEventQueue();
  const stop = new AbortController();
  let brokenBy: string | null = null;
  const reader = makeOutputReader({
    text: (stream, text) => queue.pushText(stream, text),
    usage: (usage) => queue.pushUsage(usage),
    broken: (message) => {
      brokenBy ??= message;
      stop.abort();
    },
  });
  const onOutput: OutputListener = (stream, chunk) => reader.read(stream, chunk);
  const ended = run(options, task, { stop: stop.signal, onOutput }).then((result) => {
    reader.end();
    queue.close();
    return brokenBy === null ? judge(result) : ending("protocol-broken", brokenBy);
  });
  try {
    yield* queue.events();
    yield await ended;
  } finally {
    // Only where the reader left early is there something to stop.
    stop.abort();
    await ended;
  }
}

interface RunMeans {
  readonly stop: AbortSignal;
  readonly onOutput: OutputListener;
}

async function run(
  { command, env }: CommandAgentOptions,
  task: AgentTask,
  { stop, onOutput }: RunMeans,
): Promise<ExecResult | Error> {
  try {
    return await task.workspace.exec({
      command,
      env: { ...env, ...environmentOf(task) },
      stdin: inputOf(task),
      timeoutMs: task.timeoutMs,
      outputBytesMax: QUOTED_BYTES_MAX,
      onOutput,
      signal: AbortSignal.any([task.signal, stop]),
    });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function environmentOf(task: AgentTask): Record<string, string> {
  return {
    MYCELIUM_RUN_ID: task.runId,
    MYCELIUM_TASK_ID: task.taskId,
    MYCELIUM_TASK_NAME: task.manifest.name,
    MYCELIUM_ATTEMPT: String(task.attempt),
    MYCELIUM_BASE: task.base,
    MYCELIUM_WORKSPACE: task.workspace.repositoryDir,
    MYCELIUM_SPEC_FILE: task.specFile,
    MYCELIUM_MANIFEST_FILE: task.manifestFile,
    ...(task.feedbackFile === null ? {} : { MYCELIUM_FEEDBACK_FILE: task.feedbackFile }),
  };
}

function inputOf({ spec, feedback }: AgentTask): string {
  if (feedback === null) return spec;
  return `# Why the last try was not accepted\n\n${feedback.trimEnd()}\n\n# The task\n\n${spec}`;
}

function judge(result: ExecResult | Error): Ended {
  if (result instanceof Error) return ending("failed", result.message);
  const { ending: end, stderr } = result;
  const said = (stderr.droppedBytes > 0 ? withoutFirstWord(stderr.text) : stderr.text).trim();
  switch (end.kind) {
    case "unstartable":
      return ending("program-missing", end.message);
    case "timed-out":
      return ending("timed-out", `not done after ${Math.round(result.durationMs / 1000)} s`);
    case "aborted":
      return ending("aborted", "stopped before it was done");
    case "signalled":
      return ending("failed", quoting(`ended by ${end.signal}`, said));
    case "exited":
      return judgeExit(end.code, said);
    default:
      return unreachable(end);
  }
}

function judgeExit(code: number, said: string): Ended {
  if (code === 0) return { ...ending("completed", "exit code 0"), exitCode: 0 };
  const reason = SHELL_FOUND_NOTHING.has(code) ? "program-missing" : "failed";
  return { ...ending(reason, quoting(`exit code ${code}`, said)), exitCode: code };
}

function quoting(what: string, said: string): string {
  return said === "" ? what : `${what}: ${said}`;
}

function ending(reason: AgentEnding, message: string): Ended {
  return { kind: "ended", reason, exitCode: null, message };
}
