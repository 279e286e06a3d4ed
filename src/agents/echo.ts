import { NO_USAGE } from "../domain/usage.ts";
import type { Agent, AgentEvent, AgentTask } from "./agent.ts";
import { piecesOf } from "./text-pieces.ts";

/** Says what it was told and changes nothing: for trying out everything around agents. */
export function createEchoAgent(): Agent {
  return { name: "echo", reportsUsage: true, work };
}

async function* work({ spec, signal }: AgentTask): AsyncGenerator<AgentEvent> {
  yield { kind: "started", session: null };
  for (const text of piecesOf(spec)) {
    if (signal.aborted) break;
    yield { kind: "text", stream: "stdout", text };
  }
  yield { kind: "usage", usage: NO_USAGE };
  yield signal.aborted
    ? { kind: "ended", reason: "aborted", exitCode: null, message: "stopped before it was done" }
    : { kind: "ended", reason: "completed", exitCode: null, message: "said what it was told" };
}
