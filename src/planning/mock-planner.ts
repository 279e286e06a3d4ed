import { Refusal, type Failure, type Result } from "../domain/failure.ts";
import { readTextFile } from "../lib/text-file.ts";
import type { Planner } from "./planner.ts";

const REPLY_BYTES_MAX = 10_000_000;

/** What the environment set as the mock model's reply. */
export interface MockReply {
  /** Absolute. */
  readonly mockLlmOutputPath: string | null;
  /** Wins over the file. */
  readonly mockLlmOutput: string | null;
}

/** Replies what the environment says, for tests and for runs without a model. */
export function createMockPlanner(reply: MockReply): Planner {
  return {
    name: "mock",
    propose: async () => {
      const text = await readReply(reply);
      return text.ok ? parse(text.value) : text;
    },
  };
}

interface ReplyText {
  readonly text: string;
  readonly source: string;
}

async function readReply(reply: MockReply): Promise<Result<ReplyText>> {
  if (reply.mockLlmOutput !== null) {
    return { ok: true, value: { text: reply.mockLlmOutput, source: "MOCK_LLM_OUTPUT" } };
  }
  const path = reply.mockLlmOutputPath;
  if (path === null) return fail("the mock planner has nothing to reply", {});
  const file = await readTextFile(path, { bytesMax: REPLY_BYTES_MAX, followLinks: true });
  if (!file.ok) return fail(`MOCK_LLM_OUTPUT_PATH: ${path} ${file.message}`, { path });
  return { ok: true, value: { text: file.text, source: `MOCK_LLM_OUTPUT_PATH (${path})` } };
}

function parse({ text, source }: ReplyText): Result<unknown> {
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch (error) {
    return fail(`${source} is not JSON: ${(error as Error).message}`, {
      reply: text.slice(0, 500),
    });
  }
}

function fail(message: string, details: Failure["details"]): Result<never> {
  const hint =
    'set MOCK_LLM_OUTPUT_PATH to a file with {"tasks": [...]}, or MOCK_LLM_OUTPUT to that';
  return { ok: false, failure: new Refusal("planner-failed", message, { hint, details }).failure };
}
