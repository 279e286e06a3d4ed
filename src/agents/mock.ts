import { NO_USAGE, type Usage } from "../domain/usage.ts";
import type { Result } from "../domain/failure.ts";
import type { Agent, AgentEnding, AgentEvent, AgentTask } from "./agent.ts";
import { addition, FALLBACK_PATH, newContent, pathFor, type MockTask } from "./mock-files.ts";

export interface MockAgentOptions {
  /** What it reports for each try; nothing at no cost by default. */
  readonly usage?: Usage;
}

/** Larger files are left to real agents. */
const FILE_BYTES_MAX = 10 * 1024 * 1024;
/** Of many paths only so many are named. */
const PATHS_TOLD_MAX = 20;

/**
 * Needs no key and no program: writes one file for each of `files.writes`, and `mock-output.txt`
 * where that is empty. What it writes follows from the task and from what is there already.
 */
export function createMockAgent(options: MockAgentOptions = {}): Agent {
  const usage = options.usage ?? NO_USAGE;
  return { name: "mock", reportsUsage: true, work: (task) => work(task, usage) };
}

async function* work(task: AgentTask, usage: Usage): AsyncGenerator<AgentEvent> {
  yield { kind: "started", session: null };
  const written: string[] = [];
  const { writes } = task.manifest.files;
  let problem: string | null = null;
  for (const glob of writes.length === 0 ? [FALLBACK_PATH] : writes) {
    if (task.signal.aborted) break;
    const path = pathFor(glob, task.taskId);
    problem = path === null ? `no path can be made of ${glob}` : await change(task, path);
    if (problem !== null) break;
    if (path !== null) written.push(path);
  }
  if (written.length > 0) yield { kind: "text", stream: "stdout", text: tell(written) };
  yield { kind: "usage", usage };
  if (problem !== null) yield ending("failed", problem);
  else if (task.signal.aborted) yield ending("aborted", "stopped before it was done");
  else yield ending("completed", `wrote ${written.length} files`);
}

/** What went wrong, or `null`. */
async function change({ workspace, ...task }: AgentTask, path: string): Promise<string | null> {
  const mockTask: MockTask = { taskId: task.taskId, name: task.manifest.name };
  const existing = await workspace.readFile(path, { bytesMax: FILE_BYTES_MAX });
  let content: string | Buffer;
  if (existing.ok) {
    content = Buffer.concat([
      existing.value,
      Buffer.from(addition(path, mockTask, existing.value)),
    ]);
  } else if (existing.failure.details["reason"] === "missing") {
    content = newContent(path, mockTask);
  } else {
    return existing.failure.message;
  }
  const result: Result<void> = await workspace.writeFile(path, content);
  return result.ok ? null : result.failure.message;
}

function tell(paths: readonly string[]): string {
  const more = paths.length - PATHS_TOLD_MAX;
  const named = paths.slice(0, PATHS_TOLD_MAX).join(", ");
  return `wrote ${named}${more > 0 ? ` and ${more} more` : ""}\n`;
}

function ending(reason: AgentEnding, message: string): AgentEvent {
  return { kind: "ended", reason, exitCode: null, message };
}
